"""Random merges, partings and erasures among orders, redemptions and friends.

There is no reference to compare with, as in `tests.property.machine`: what must hold whatever
happened is in `tests.property.sums`, and a merge that is taken back at once must have done nothing.
All randomness comes from one seed: LOYALTY_SEED=… repeats a failure.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from loyalty.members.identifiers import MemberRef
from loyalty.nightly import services as nightly
from loyalty.standing import services as standing
from loyalty.standing.schemas import AssignLevel, AssignRequest
from tests.factories import STORE, Clock, Reply, Till, line, open_till, rows, unique
from tests.integration.referrals.friends import join
from tests.people import erase, merge, unmerge
from tests.property.sums import not_adding_up, unproved

LIKELY = {
    "enrol": 3, "earn": 20, "put": 16, "take_back": 14, "redeem": 18, "settle": 12, "reverse": 10,
    "adjust": 9, "freeze": 2, "assign": 3, "merge": 6, "part": 6, "merge_and_part": 2, "erase": 1,
    "night": 3,
}  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"code": "base", "points": 1, "per": "1.00"},
    {"code": "double", "multiply": "2", "when": {"category": ["PRODUCE"]}},
    {"code": "plus", "bonus": 30, "limit": {"times": 2, "per": "month"}},
    {"code": "capped", "points": 1, "per": "1.00", "limit": {"points": 25, "per": "week"}},
    {"code": "bring", "bonus": 40, "trigger": "referral", "who": "referrer"},
    {"code": "welcome", "bonus": 20, "trigger": "referral", "who": "friend"},
]
TIERS = {
    "qualify_by": "spend",
    "window": {"rolling_months": 2},
    "levels": [
        {"code": "bronze", "from": "0"},
        {"code": "silver", "from": "150.00", "earn_multiplier": "2"},
        {"code": "gold", "from": "400.00", "benefits": {"rewards": ["mug"]}},
    ],
    "downgrade": "one_level",
    "grace_days": 5,
}
REWARDS: list[dict[str, Any]] = [
    {"code": "mug", "name": "-", "cost": 10, "gives": {"product": "m"}, "stock": 400},
    {"code": "hat", "name": "-", "cost": 20, "gives": {"product": "h"},
     "per_member": {"times": 2, "per": "ever"}},
]  # fmt: skip

# What a merge that is taken back leaves as it was; who was frozen by it stays so.
STANDING = """
SELECT s.member_id::text, w.pending, w.available, w.held, w.debt, coalesce(g.level, 'bronze'), (
    SELECT json_agg(json_build_array(i.type, i.value) ORDER BY i.type, i.value)::text
    FROM loyalty_identifier AS i WHERE i.member_id = s.member_id), (
    SELECT json_agg(json_build_array(t.expires_at, t.points) ORDER BY t.expires_at)::text
    FROM loyalty_expirytotal AS t WHERE t.member_id = s.member_id AND t.points <> 0), (
    SELECT json_agg(json_build_array(d.day, d.spend, d.points, d.orders) ORDER BY d.day)::text
    FROM loyalty_activityday AS d
    WHERE d.member_id = s.member_id AND (d.spend, d.points, d.orders) <> (0, 0, 0)), (
    SELECT json_agg(json_build_array(u.rule, u.starts_on, u.times, u.points)
        ORDER BY u.rule, u.starts_on)::text
    FROM loyalty_ruleuse AS u WHERE u.member_id = s.member_id AND (u.times, u.points) <> (0, 0))
FROM loyalty_memberstate AS s JOIN loyalty_wallet AS w USING (member_id)
LEFT JOIN loyalty_membertier AS g USING (member_id) WHERE s.program_id = %s ORDER BY 1
"""


class People:
    """One program with members who come, go, and turn out to be one."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self.dice = dice = random.Random(seed)
        self.clock = clock
        day = clock.now.date()
        campaign = {
            "code": "spring",
            "from": str(day - timedelta(days=60)),
            "to": str(day + timedelta(days=2000)),
            "budget_points": 3000,
            "rules": [{"code": "spring-plus", "bonus": 7}],
        }
        self.policy = {
            "expiry": dice.choice(({"months": 1}, {"inactivity_months": 1}, "none")),
            "clawback": dice.choice(("debt", "within_balance", "write_off")),
            "lapsed": dice.choice(("expire", "grace")),
            "maturity_days": dice.choice((0, 3)),
            "accept_late_days": 60,
            "value": {"points": 1, "amount": "0.01"},
        }
        on_return = dice.choice(("keep", "recalculate"))
        self.till: Till = open_till(
            points=dict(self.policy),
            earning_rules=RULES,
            campaigns=[campaign],
            tiers={**TIERS, "on_return": on_return},
            rewards=REWARDS,
        )
        self.codes: dict[str, str] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.takes: list[str] = []
        self.merged: list[str] = []
        self.counts: Counter[str] = Counter()
        self.log: deque[str] = deque(maxlen=60)
        for _ in range(6):
            self.enrol()

    def run(self, operations: int) -> None:
        for number in range(operations):
            self.let_time_pass()
            (name,) = self.dice.choices(list(LIKELY), list(LIKELY.values()))
            try:
                getattr(self, name)()
            except Exception as error:
                raise self.wrong(f"{name} raised {error!r}") from error
            if found := not_adding_up(self.till.program.pk):
                raise self.wrong(f"after {name}: {found}")
            if number % 10 == 0 and (found := unproved(self.till.program.pk)):
                raise self.wrong(f"not proved after {name}: {found}")

    def wrong(self, what: str) -> AssertionError:
        last = "\n".join(self.log)
        return AssertionError(f"{what}\n{self.policy}; the last ones:\n{last}")

    def let_time_pass(self) -> None:
        dice, chance = self.dice, self.dice.random()
        if chance < 0.97:
            most = 300 if chance < 0.8 else 36_000
            self.clock.move(timedelta(seconds=dice.randint(1, most)))
        else:
            self.clock.move(timedelta(days=dice.randint(1, 25)))

    def say(self, what: str, do: Callable[..., Reply], *said: Any, **more: Any) -> Reply:
        reply = do(*said, **more)
        code = reply.body["code"] if reply.status >= 400 else reply.status
        self.counts[f"{what} {code}"] += 1
        self.log.append(f"{self.clock.now} {what} {said} {more} -> {code}")
        assert reply.status < 500, reply.body
        return reply

    # Who, what and when

    @property
    def cards(self) -> list[str]:
        return list(self.codes)

    def a_card(self) -> str:
        return self.dice.choice(self.cards)

    def a_moment(self) -> datetime:
        days = self.dice.randint(0, 50) if self.dice.random() < 0.3 else 0
        return self.clock.now - timedelta(days=days, seconds=self.dice.randint(0, 3000))

    def some_lines(self) -> list[dict[str, Any]]:
        dice = self.dice
        kinds: list[dict[str, Any]] = [{"category": "PRODUCE"}, {}, {}]
        return [
            line(str(n), f"{dice.choice((1, 2, 5, 20, 60))}.37", f"{dice.randint(1, 3)}",
                 **dice.choice(kinds))
            for n in range(dice.choice((1, 1, 2, 3)))
        ]  # fmt: skip

    def an_order(self, *, known: float) -> tuple[str, dict[str, Any]]:
        """One of the last orders, or one that nobody has sent yet."""
        if self.orders and self.dice.random() < known:
            ref = self.dice.choice(list(self.orders)[-25:])
        else:
            ref = unique("o")
            said = {"card": self.a_card(), "lines": self.some_lines(), "at": self.a_moment()}
            self.orders[ref] = {**said, "revision": 0}
        return ref, self.orders[ref]

    # What is said

    def enrol(self) -> None:
        code = self.dice.choice((None, *self.codes.values()))
        reply = self.say("enrol", join, self.till, code)
        if reply.status == 201:
            self.codes[reply.body["card"]] = reply.referral_code

    def earn(self) -> None:
        ref, order = self.an_order(known=0.1)
        lines, at = order["lines"], order["at"]
        self.say("earn", self.till.earn, order["card"], ref, lines=lines, at=at)

    def put(self) -> None:
        dice = self.dice
        ref, order = self.an_order(known=0.75)
        order["revision"] += 1
        if dice.random() < 0.4:
            order["lines"] = self.some_lines()
        if dice.random() < 0.2:
            order["at"] = self.a_moment()
        lines = [dict(each) for each in order["lines"]]
        for each in lines:
            if dice.random() < 0.4:
                each["returned"] = {"quantity": str(dice.randint(0, int(each["quantity"])))}
        (state,) = dice.choices(("paid", "open", "cancelled"), (7, 1, 2))
        said = (order["card"], ref, order["revision"], lines)
        self.say("put", self.till.put, *said, state=state, at=order["at"])

    def take_back(self) -> None:
        ref, order = self.an_order(known=0.97)
        whole = self.dice.random() < 0.5
        lines = {each["line"]: each["quantity"] if whole else "1" for each in order["lines"]}
        self.say("return", self.till.take_back, ref, unique("r"), lines)

    def redeem(self) -> None:
        """A reward, or points; most of those pay for an order, which may come later."""
        dice = self.dice
        card, reward = self.a_card(), dice.choice((None, None, "mug", "hat"))
        body: dict[str, Any] = {"reward": reward} if reward else {"points": dice.choice((1, 5, 40))}
        if reward is None and dice.random() < 0.7:
            ref, order = self.an_order(known=0.7)
            card = order["card"]
            body |= {"order_ref": ref, "store": STORE}
        reply = self.say("redeem", self.till.redeem, card, capture=dice.random() < 0.6, **body)
        if reply.status == 201:
            self.takes.append(reply.id)

    def settle(self) -> None:
        if self.takes:
            take = self.dice.choice(self.takes[-30:])
            if self.dice.random() < 0.6:
                self.say("capture", self.till.capture, take, self.dice.choice((None, None, 1, 4)))
            else:
                self.say("void", self.till.void, take)

    def reverse(self) -> None:
        if self.takes:
            take = self.dice.choice(self.takes[-60:])
            self.say("reverse", self.till.reverse, take, self.dice.choice((None, None, 1, 4)))

    def adjust(self) -> None:
        points = self.dice.choice((5, 60, 150, -3, -40))
        minutes = self.dice.choice((None, None, 1, 15, 300, 9000))
        ends = self.clock.now + timedelta(minutes=minutes) if minutes and points > 0 else None
        self.say("adjust", self.till.adjust, self.a_card(), points, ends=ends)

    def freeze(self) -> None:
        self.say("freeze", self.till.freeze, self.a_card(), self.dice.choice(("frozen", "active")))

    def assign(self) -> None:
        card, level = self.a_card(), self.dice.choice((None, "bronze", "silver", "gold"))
        body = AssignRequest.model_validate({"level": level, "reason": "a friend of the house"})
        payload = AssignLevel(MemberRef("card", card), body)
        command = self.till.command(standing.ASSIGN, payload, card, level)
        self.say("assign", lambda _: self.till.send(command)[0], level)

    def merge(self) -> str | None:
        """Merge two; say who was merged away."""
        reply = self.say("merge", merge, self.till, self.a_card(), self.a_card())
        if reply.status != 200:
            return None
        (card,) = (one for one, member in self.till.ids.items() if member == reply.body["merged"])
        self.merged.append(card)
        return card

    def part(self, card: str | None = None) -> bool:
        if not self.merged:
            return False
        card = card or self.dice.choice(self.merged)
        done = self.say("unmerge", lambda _: unmerge(self.till, card), card).status == 200
        if done:
            self.merged.remove(card)
        return done

    def merge_and_part(self) -> None:
        self.night()
        before = rows(STANDING, self.till.program.pk)
        card = self.merge()
        if card is not None and self.part(card):
            after = rows(STANDING, self.till.program.pk)
            changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
            assert not changed, changed

    def erase(self) -> None:
        card = self.a_card()
        if self.say("erase", lambda _: erase(self.till, card), card).status == 200:
            query = "SELECT value FROM loyalty_identifier WHERE program_id = %s AND type = 'card'"
            left = {row[0] for row in rows(query, self.till.program.pk)}
            self.codes = {card: code for card, code in self.codes.items() if card in left}
        while len(self.codes) < 4:
            self.enrol()

    def night(self) -> None:
        nightly.lapse_holds()
        nightly.settle_referrals()
        run = nightly.run_night(self.till.program.pk, today=self.clock.now.date())
        self.log.append(f"{self.clock.now} night")
        failed = run.steps.exclude(error="").values_list("name", "error")
        assert list(failed) == []
