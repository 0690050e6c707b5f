"""The reference's program: what each command does to the paper of `tests.property.model`.

Each method either does it and returns the status of the answer, or raises `No` and has changed
nothing. `perform` adds what holds for all of them: keys, and that what is due is done first.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from tests.property.model import Bill, Line, Lot, Member, No, Policy, Take

# Refusals that are not kept under their key: the same key may succeed later.
NOT_KEPT = {"not_found", "validation_failed"}
STATUS = {
    "not_found": 404,
    "validation_failed": 422,
    "occurred_at_out_of_range": 422,
    "line_unknown": 422,
    "capture_exceeds_hold": 422,
    "reward_not_divisible": 422,
    "idempotency_key_reused": 422,
}


class Shop:
    """A program on paper."""

    def __init__(self, policy: Policy, stock: dict[str, int]) -> None:
        self.policy = policy
        self.stock = dict(stock)
        self.members: dict[str, Member] = {}
        self.bills: dict[str, Bill] = {}
        self.refs: dict[str, tuple[Any, str]] = {}
        self.keys: dict[str, tuple[Any, tuple[int, str]]] = {}
        self.batch: dict[str, Any] = {}
        self.late: list[str] = []
        self.number = 0
        self.now = datetime.min
        self.nights: Counter[str] = Counter()

    def perform(self, key: str, name: str, said: dict[str, Any]) -> tuple[int, str, bool]:
        """Do one command; return its status, its code if it is refused, and if it is a replay."""
        known = self.keys.get(key)
        first = known[0] if known else self.batch.setdefault(key, (name, said))
        if first != (name, said):
            return 422, "idempotency_key_reused", False
        if known is not None:
            return *known[1], True
        answer = self.decide(name, said)
        if answer[1] not in NOT_KEPT:
            self.keys[key] = ((name, said), answer)
        return *answer, False

    def decide(self, name: str, said: dict[str, Any]) -> tuple[int, str]:
        card = said.get("card") or self.owner(said)
        before = self.members.get(card or "")
        late = list(self.late)
        if before is not None and before.is_due(self.now):
            self.members[card] = before.copy()
            self.catch_up(self.members[card])
        try:
            return getattr(self, name)(**said), ""
        except No as no:
            if before is not None:
                self.members[card], self.late = before, late
            code = str(no)
            return STATUS.get(code, 409), code

    def owner(self, said: dict[str, Any]) -> str | None:
        if "order" in said:
            bill = self.bills.get(said["order"])
            return bill.member if bill else None
        return said["take"].rpartition("/")[0] if "take" in said else None

    def catch_up(self, member: Member) -> None:
        for take in member.takes.values():
            if take.state == "held" and take.ends <= self.now and take.reward in self.stock:
                self.late.append(take.reward)
        member.catch_up(self.now)

    def begin(self) -> None:
        """A new run begins: what lapsed in the last one is back in the stock."""
        self.batch = {}
        while self.late:
            self.stock[self.late.pop()] += 1

    def night(self) -> None:
        for member in self.members.values():
            self.catch_up(member)
            self.nights[member.standing.night(member.days, self.policy.day(self.now))] += 1
        self.begin()

    def member(self, card: str) -> Member:
        if card not in self.members:
            raise No("not_found")
        return self.members[card]

    # Commands

    def enrol(self, card: str) -> int:
        if card in self.members:
            raise No("identifier_taken")
        self.members[card] = Member(self.policy, self.now)
        return 201

    def check_time(self, at: datetime) -> None:
        late = timedelta(days=self.policy.late_days)
        if not self.now - late <= at <= self.now + timedelta(minutes=5):
            raise No("occurred_at_out_of_range")

    def earn(self, card: str, ref: str, lines: list[tuple], at: datetime) -> int:
        self.check_time(at)
        known = self.bills.get(ref)
        if known is not None:
            if known.member != card or known.at != at or [x.facts for x in known.lines] != lines:
                raise No("order_conflict")
            return 200
        member = self.member(card)
        self.bills[ref] = bill = Bill(card, at, [Line(*facts) for facts in lines])
        self.pay(member, ref, bill)
        return 201

    def pay(self, member: Member, ref: str, bill: Bill) -> None:
        member.price(bill.lines)
        bill.priced = True
        member.carry(bill.at, self.now)
        member.set_worth(ref, bill, bill.worth, self.now)
        member.count(bill, 1)
        member.rise(self.now)

    def put(
        self, card: str, ref: str, revision: int, lines: list, back: list, state: str, at: datetime
    ) -> int:
        bill = self.bills.get(ref)
        if bill is None:
            return self.put_new(card, ref, revision, lines, back, state, at)
        if bill.member != card:
            raise No("order_conflict")
        if revision <= bill.revision:
            return 200
        if at != bill.at:
            self.check_time(at)
        self.check_back(lines, back)
        member = self.member(card)
        member.count(bill, -1)
        if state == "paid" and not bill.priced:
            member.carry(at, self.now)
        paid_now = state == "paid" and bill.state != "paid"  # again, too: by the level of now
        if [x.facts for x in bill.lines] != lines or not bill.priced or paid_now:
            bill.lines = [Line(*facts) for facts in lines]
            member.price(bill.lines)
            bill.priced = bill.priced or state == "paid"
        for one, units in zip(bill.lines, back, strict=True):
            one.returned = units
        bill.at, bill.state, bill.revision = at, state, revision
        member.set_worth(ref, bill, bill.worth if state == "paid" else 0, self.now)
        member.count(bill, 1)
        member.rise(self.now)
        return 200

    def put_new(
        self, card: str, ref: str, revision: int, lines: list, back: list, state: str, at: datetime
    ) -> int:
        self.check_time(at)
        self.check_back(lines, back)
        member = self.member(card)
        fresh = [Line(*facts, returned=units) for facts, units in zip(lines, back, strict=True)]
        self.bills[ref] = bill = Bill(card, at, fresh, state, revision)
        if state == "paid":
            self.pay(member, ref, bill)
        return 201

    def check_back(self, lines: list[tuple], back: list[int]) -> None:
        if any(units > facts[1] for facts, units in zip(lines, back, strict=True)):
            raise No("validation_failed")

    def take_back(self, order: str, ref: str, units: dict[int, int], at: datetime) -> int:
        bill = self.bills.get(order)
        if bill is None:
            raise No("not_found")
        known = bill.returns.get(ref)
        if known is not None:
            if known != (list(units.items()), at):  # in the same order, like an order's lines
                raise No("return_conflict")
            return 200
        self.check_return(bill, units, at)
        member = self.members[bill.member]
        member.count(bill, -1)
        for i, n in units.items():
            bill.lines[i].returned += n
        bill.returns[ref] = (list(units.items()), at)
        member.set_worth(order, bill, bill.worth if bill.state == "paid" else 0, self.now)
        member.count(bill, 1)
        return 201

    def check_return(self, bill: Bill, units: dict[int, int], at: datetime) -> None:
        if bill.state == "cancelled":
            raise No("order_cancelled")
        if at > self.now + timedelta(minutes=5):
            raise No("occurred_at_out_of_range")
        if at < bill.at - timedelta(days=1):
            raise No("occurred_at_out_of_range")
        for i, n in units.items():
            if i >= len(bill.lines):
                raise No("line_unknown")
            if bill.lines[i].returned + n > bill.lines[i].quantity:
                raise No("reversal_exceeds_original")

    def redeem(
        self, card: str, take: str, reward: str | None, points: int, capture: bool, ref: str
    ) -> int:
        member = self.member(card)
        said = (card, reward, points, capture)
        if ref in self.refs:
            if self.refs[ref][0] != said:
                raise No("redemption_conflict")
            return 200
        if member.frozen:
            raise No("member_frozen")
        if reward:
            self.check_reward(member, reward)
        picked = member.pick(points, self.now)
        if reward in self.stock:
            self.stock[reward] -= 1
        if ref:
            self.refs[ref] = (said, take)
        self.number += 1
        member.carry(self.now, self.now)
        ends = None if capture else self.now + timedelta(minutes=self.policy.hold_minutes)
        made = Take(self.number, points, reward, ends, "captured" if capture else "held")
        for i, n in picked.items():
            member.lots[i].move("available", "redeemed" if capture else "held", n)
        if capture:
            made.spent, made.captured = picked, points
        else:
            made.held = picked
        member.takes[take] = made
        return 201

    def check_reward(self, member: Member, reward: str) -> None:
        if reward in self.stock and not self.stock[reward]:
            raise No("reward_sold_out")
        had = [t for t in member.takes.values() if t.reward == reward]
        had = [t for t in had if t.state in ("held", "captured")]
        if len(had) >= self.policy.limits.get(reward, 10**9):
            raise No("reward_limit_reached")
        if member.total("available") < self.policy.rewards[reward]:
            raise No("insufficient_points")

    def the_take(self, take: str) -> tuple[Member, Take]:
        member = self.members.get(take.rpartition("/")[0])
        if member is None or take not in member.takes:
            raise No("not_found")
        return member, member.takes[take]

    def the_hold(self, take: str) -> tuple[Member, Take]:
        member, found = self.the_take(take)
        if found.state == "lapsed":
            raise No("hold_expired")
        if found.state != "held":
            raise No("hold_not_open")
        return member, found

    def capture(self, take: str, points: int | None) -> int:
        member, found = self.the_hold(take)
        points = points or found.points
        if points > found.points:
            raise No("capture_exceeds_hold")
        if found.reward and points < found.points:
            raise No("reward_not_divisible")
        left = points
        for i in member.by_end(found.held):
            n = min(left, found.held[i])
            left -= n
            if n:
                member.lots[i].move("held", "redeemed", n)
                found.spent[i] = n
            found.held[i] -= n
        found.held = {i: n for i, n in found.held.items() if n}
        member.let_go(found, self.now)
        found.state, found.captured = "captured", points
        return 200

    def void(self, take: str) -> int:
        member, found = self.the_hold(take)
        member.let_go(found, self.now)
        self.put_back(found)
        found.state = "voided"
        return 200

    def put_back(self, take: Take) -> None:
        if take.reward in self.stock:
            self.stock[take.reward] += 1

    def reverse(self, take: str, points: int | None) -> int:
        member, found = self.the_take(take)
        if found.state in ("held", "voided", "lapsed"):
            raise No("hold_not_open")
        left = found.captured - found.back
        if not left:
            raise No("already_reversed")
        n = points or left
        if n > left:
            raise No("reversal_exceeds_original")
        found.back += n
        chosen = {}
        for i in member.by_end(found.spent, last_first=True):
            chosen[i] = min(n, found.spent[i])
            n -= chosen[i]
        for i in member.by_end(chosen):
            if chosen[i]:
                found.spent[i] -= chosen[i]
                member.come_back(i, "redeemed", chosen[i], self.now)
        if found.back == found.captured:
            found.state = "reversed"
            self.put_back(found)
        return 200

    def adjust(self, card: str, points: int, ends: datetime | None) -> int:
        member = self.member(card)
        if ends is not None and ends <= self.now:
            raise No("validation_failed")
        if points > 0 and ends:
            member.put(Lot(self.now, ends), points, self.now)
            return 201
        if points > 0:
            member.give(points, self.now, self.now, self.now)
            return 201
        for i, n in member.pick(-points, self.now).items():
            member.lots[i].move("available", "revoked", n)
        return 201

    def freeze(self, card: str, status: str) -> int:
        self.member(card).frozen = status == "frozen"
        return 200
