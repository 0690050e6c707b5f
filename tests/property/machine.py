"""A random day at the tills: the engine on PostgreSQL and the reference do the same, step by step.

All randomness comes from one seed and the database's clock stands still between steps, so a seed
repeats a failure exactly: LOYALTY_SEED=… pytest tests/property.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from loyalty.engine.commands import Command
from loyalty.engine.load import spendable_lots
from loyalty.ledger.audit import audit
from loyalty.nightly import services as nightly
from tests.factories import SAYS as _SAYS
from tests.factories import Clock, Reply, Till, line, open_till, rows
from tests.property.differences import difference, seen
from tests.property.model import Policy
from tests.property.shop import Shop

CARDS = 14
BATCH_MOST = 25
AUDITED_EACH = 10  # steps: history keeps what was wrong, and the paper is compared after each
SINGLES = {
    "earn": 22,
    "put": 16,
    "take_back": 12,
    "redeem": 20,
    "capture": 11,
    "void": 6,
    "reverse": 6,
    "adjust": 9,
    "freeze": 1,
    "again": 4,
    "enrol": 0.3,
}
BATCHED = ("earn", "earn", "earn", "take_back", "redeem", "redeem", "adjust", "again")


class Deviation(AssertionError):
    """The engine and the reference differ."""


class Machine:
    """One program, its members, and the reference."""

    def __init__(self, seed: int, clawback: str, lapsed: str, *, make_clock: Callable[..., Clock]):
        self.random = random.Random(f"{seed} {clawback} {lapsed}")
        self.clock = make_clock(self.some_start())
        self.policy = Policy(
            clawback=clawback,
            lapsed=lapsed,
            maturity_days=3 if lapsed == "grace" else 0,
            rewards={"five-off": 50, "mug": 10, "hat": 20},
            limits={"hat": 2},
        )
        self.till = self.open()
        self.shop = Shop(self.policy, {"mug": 40})
        self.cards = [f"{self.till.program.code}-{n}" for n in range(CARDS)]
        self.redemptions: dict[str, str] = {}
        self.said: dict[str, tuple[str, dict[str, Any]]] = {}
        self.log: deque[str] = deque(maxlen=100)
        self.counts: Counter[str] = Counter()
        self.operations = 0
        self.orders = 0
        self.seen: dict[str, Any] = {}
        self.unaudited: set[Any] = set()
        self.checks = 0

    def some_start(self) -> datetime:
        return datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randrange(31536000))

    def open(self) -> Till:
        return open_till(
            tiers=self.policy.terms.entry(),
            points={
                "expiry": self.policy.expiry,
                "clawback": self.policy.clawback,
                "lapsed": self.policy.lapsed,
                "maturity_days": self.policy.maturity_days,
                "accept_late_days": self.policy.late_days,
            },
            rewards=[
                {"code": "five-off", "name": "-", "cost": 50, "gives": {"amount_off": "5.00"}},
                {"code": "mug", "name": "-", "cost": 10, "gives": {"product": "m"}, "stock": 40},
                {
                    "code": "hat", "name": "-", "cost": 20, "gives": {"product": "h"},
                    "per_member": {"times": 2, "per": "ever"},
                },
            ],
        )  # fmt: skip

    # Steps

    def run(self, operations: int) -> None:
        few_lots = spendable_lots.__kwdefaults__
        before, few_lots["most"] = few_lots["most"], 3  # so that many commands must read again
        try:
            self.shop.now = self.clock.now
            for card in self.cards[:-2]:
                self.send([self.say_this("enrol", {"card": card})])
            audited = 0
            while self.operations < operations:
                self.step()
                if self.operations - audited >= 1000:
                    audited = self.operations
                    self.check_all()
            self.check_all()
        finally:
            few_lots["most"] = before

    def step(self) -> None:
        self.let_time_pass()
        if self.random.random() < 0.12:
            names = self.random.choices(BATCHED, k=self.random.randint(2, BATCH_MOST))
        else:
            names = self.random.choices(list(SINGLES), list(SINGLES.values()))
        said = [one for name in names if (one := self.say(name)) is not None]
        if said:
            self.send(said)

    def let_time_pass(self) -> None:
        """Mostly moments; sometimes until a hold has lapsed, a night, or weeks."""
        chance = self.random.random()
        if chance < 0.75:
            self.clock.move(timedelta(milliseconds=self.random.randint(1, 5000)))
        elif chance < 0.97:
            self.clock.move(timedelta(minutes=self.random.randint(1, 40)))
        elif chance < 0.99:
            self.clock.move(timedelta(hours=self.random.randint(1, 60)))
        else:
            self.clock.move(timedelta(days=self.random.randint(2, self.policy.longest_pause)))
        self.shop.now = self.clock.now
        if chance > 0.96 and self.random.random() < 0.7:
            self.night()

    def night(self) -> None:
        nightly.lapse_holds()
        nightly.run_night(self.till.program.pk, today=self.policy.day(self.clock.now))
        self.shop.night()
        self.counts["night"] += 1
        self.log.append(f"night at {self.clock.now}")
        self.check(list(self.shop.members))

    def send(self, said: list[tuple[str, str, dict[str, Any]]]) -> None:
        commands = [self.command(*one) for one in said]
        self.log.append(f"--- {len(said)} at {self.clock.now}")
        for key, name, arguments in said:
            self.log.append(f"{name} {arguments} key={key}")
        try:
            replies = self.till.send(*commands)
        except Exception as error:
            raise self.deviation(f"the engine raised {error!r}") from error
        self.shop.begin()
        touched: dict[str, bool] = {}
        for one, reply in zip(said, replies, strict=True):
            self.compare_reply(one, reply)
            card = one[2].get("card") or self.shop.owner(one[2])
            if card in self.shop.members:
                changed = reply.status < 400 and not reply.replayed
                touched[card] = touched.get(card, False) or changed
        self.operations += len(said)
        self.check(list(touched), refused=[card for card in touched if not touched[card]])

    def compare_reply(self, one: tuple[str, str, dict[str, Any]], reply: Reply) -> None:
        key, name, arguments = one
        status, code, replayed = self.shop.perform(key, name, arguments)
        got = (reply.status, reply.body.get("code", ""), reply.replayed)
        self.counts[f"{name} {code or status}"] += 1
        self.log.append(f"    -> {name} {got}")
        same_code = got[1] == code or (code == "not_found" and got[1].endswith("not_found"))
        if got[0] != status or not same_code or got[2] != replayed:
            paper = (status, code, replayed)
            bill = self.shop.bills.get(arguments.get("order") or arguments.get("ref", ""))
            raise self.deviation(f"{name}: the reference says {paper}, not {got}; {bill}")
        if name == "redeem" and status == 201 and not replayed:
            self.redemptions[arguments["take"]] = reply.id

    # What is said

    def say(self, name: str) -> tuple[str, str, dict[str, Any]] | None:
        if name == "again":
            return self.say_again()
        arguments = getattr(self, f"some_{name}")()
        return None if arguments is None else self.say_this(name, arguments)

    def say_this(self, name: str, arguments: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        key = f"{len(self.said)}"
        self.said[key] = (name, arguments)
        return key, name, arguments

    def say_again(self) -> tuple[str, str, dict[str, Any]] | None:
        """An old key with the same words, with others, or the same words with a new key."""
        if not self.said:
            return None
        old = self.random.choice(list(self.said)[-60:])
        name, arguments = self.said[old]
        chance = self.random.random()
        if chance < 0.6:
            return old, name, arguments
        if chance < 0.75:
            return old, "adjust", {"card": self.a_card(), "points": 7, "ends": None}
        if name == "redeem" and not arguments["ref"]:
            return None
        if "take" in arguments and name != "redeem":
            return None
        return f"again-{self.operations}-{old}", name, arguments

    def a_card(self) -> str:
        return self.random.choice(self.cards)

    def a_moment(self) -> datetime:
        chance, now = self.random.random(), self.clock.now
        if chance < 0.6:
            return now - timedelta(seconds=self.random.randint(0, 3600))
        if chance < 0.95:
            return now - timedelta(days=self.random.randint(0, 59), seconds=7)
        return now + timedelta(minutes=self.random.choice([-90_000, 2, 3, 10]))

    def some_lines(self) -> list[tuple[int, int, bool]]:
        dice = self.random
        dollars = (1, 1, 2, 3, 5, 8, 13, 20)
        return [
            (dice.choice(dollars), dice.choice((1, 1, 2, 3)), dice.random() < 0.3)
            for _ in range(dice.choice((1, 1, 2, 3)))
        ]

    def some_enrol(self) -> dict[str, Any]:
        return {"card": self.a_card()}

    def some_earn(self) -> dict[str, Any]:
        self.orders += 1
        known = list(self.shop.bills)[-40:]
        ref = f"o{self.orders}" if self.random.random() < 0.97 or not known else known[-1]
        lines = self.some_lines()
        return {"card": self.a_card(), "ref": ref, "lines": lines, "at": self.a_moment()}

    def some_put(self) -> dict[str, Any]:
        known = list(self.shop.bills)[-30:]
        dice = self.random
        if not known or dice.random() < 0.3:
            self.orders += 1
            card, ref, revision = self.a_card(), f"o{self.orders}", dice.randint(0, 3)
            lines, at = self.some_lines(), self.a_moment()
        else:
            ref = dice.choice(known)
            bill = self.shop.bills[ref]
            card = bill.member if dice.random() < 0.95 else self.a_card()
            revision = bill.revision + dice.choice((0, 1, 1, 1, 2))
            lines = [one.facts for one in bill.lines] if dice.random() < 0.6 else self.some_lines()
            at = bill.at if dice.random() < 0.8 else self.a_moment()
        back = [dice.randint(0, facts[1]) if dice.random() < 0.3 else 0 for facts in lines]
        if dice.random() < 0.03:
            back[0] = lines[0][1] + 1
        state = dice.choices(("paid", "open", "cancelled"), (8, 1, 1))[0]
        return {
            "card": card, "ref": ref, "revision": revision,
            "lines": lines, "back": back, "state": state, "at": at,
        }  # fmt: skip

    def some_take_back(self) -> dict[str, Any]:
        known = list(self.shop.bills)[-40:]
        dice = self.random
        order = dice.choice(known) if known and dice.random() < 0.97 else "nobody-knows"
        ref = f"r{self.operations}" if dice.random() < 0.9 else "r1"
        lines = len(self.shop.bills[order].lines) if order in self.shop.bills else 1
        places = range(lines + (dice.random() < 0.1))
        units = {dice.choice(places): dice.choice((1, 1, 2)) for _ in range(2)}
        at = self.clock.now + timedelta(minutes=10 if dice.random() < 0.02 else -1)
        return {"order": order, "ref": ref, "units": units, "at": at}

    def some_redeem(self) -> dict[str, Any]:
        card, dice = self.a_card(), self.random
        reward = dice.choice((None, None, "five-off", "mug", "hat"))
        member = self.shop.members.get(card)
        if member and any(t.state == "held" and t.ends <= self.clock.now and t.reward
                          for t in member.takes.values()):  # fmt: skip
            reward = None  # the minute job puts it back into the stock and the limit
        points = self.policy.rewards[reward] if reward else dice.choice((1, 5, 17, 40, 90))
        ref = f"t{dice.randint(0, self.operations // 20 + 5)}" if dice.random() < 0.2 else ""
        take = f"{card}/{len(self.said)}"
        capture = dice.random() < 0.5
        return {
            "card": card, "take": take, "reward": reward,
            "points": points, "capture": capture, "ref": ref,
        }  # fmt: skip

    def a_take(self, states: tuple[str, ...]) -> str | None:
        known = list(self.redemptions)[-60:]
        liked = []
        for take in known:
            found = self.shop.members[take.rpartition("/")[0]].takes.get(take)
            if found is not None and found.state in states:
                liked.append(take)
        if liked and self.random.random() < 0.9:
            return self.random.choice(liked)
        return self.random.choice(known) if known else None

    def some_capture(self) -> dict[str, Any] | None:
        take = self.a_take(("held",))
        points = self.random.choice((None, None, 1, 4, 12, 60))
        return {"take": take, "points": points} if take else None

    def some_void(self) -> dict[str, Any] | None:
        take = self.a_take(("held",))
        return {"take": take} if take else None

    def some_reverse(self) -> dict[str, Any] | None:
        take = self.a_take(("captured",))
        points = self.random.choice((None, None, 1, 3, 10))
        return {"take": take, "points": points} if take else None

    def some_adjust(self) -> dict[str, Any]:
        dice = self.random
        points = dice.choice((1, 10, 25, 100, 300, -1, -10, -60))
        ends = None
        if points > 0 and dice.random() < 0.7:
            ends = self.clock.now + timedelta(minutes=dice.choice((-5, 1, 15, 20, 300, 9000)))
        return {"card": self.a_card(), "points": points, "ends": ends}

    def some_freeze(self) -> dict[str, Any]:
        status = "frozen" if self.random.random() < 0.3 else "active"
        return {"card": self.a_card(), "status": status}

    def command(self, key: str, name: str, said: dict[str, Any]) -> Command:
        """Write what is said as the engine's command."""
        key, said = f"{self.till.program.code}-{key}", dict(said)
        if "lines" in said:
            said["lines"] = [_line(i, facts) for i, facts in enumerate(said["lines"])]
        if "take" in said and name != "redeem":
            said["redemption"] = self.redemptions[said.pop("take")]
        write = getattr(self, f"write_{name}", getattr(self.till, _SAYS[name]))
        return write(**said, key=key)

    def write_put(self, lines: list[Any], back: list[int], **said: Any) -> Command:
        for one, units in zip(lines, back, strict=True):
            if units:
                one["returned"] = {"quantity": str(units)}
        return self.till.putting(lines=lines, **said)

    def write_take_back(self, units: dict[int, int], **said: Any) -> Command:
        lines = {str(i): str(n) for i, n in units.items()}
        return self.till.returning(lines=lines, **said)

    def write_redeem(
        self, card: str, take: str, reward: str | None, points: int, ref: str, **said: Any
    ) -> Command:
        what = {"reward": reward} if reward else {"points": points}
        return self.till.redeeming(card, **what, **({"ref": ref} if ref else {}), **said)

    # Comparing

    def check(self, cards: list[str], refused: list[str] = ()) -> None:
        """Compare these members with the paper, and audit them."""
        if not cards:
            return
        found = seen(self.till.program.pk, cards)
        for card in cards:
            member = self.shop.members[card]
            if card in refused and card in self.seen and self.seen[card] != found[card]["print"]:
                raise self.deviation(f"{card}: a refused command left a trace")
            self.seen[card] = found[card]["print"]
            wrong = None
            if card not in refused or not member.is_due(self.clock.now):
                wrong = difference(member, found[card])
            if wrong:
                raise self.deviation(f"{card}: {wrong}")
        self.unaudited.update(found[card]["id"] for card in cards)
        self.checks += 1
        if self.checks % AUDITED_EACH == 0:
            self.check_audit(list(self.unaudited))
            self.unaudited.clear()

    def check_audit(self, members: list[Any] | None) -> None:
        for finding in audit(members=members):
            if finding.rows:
                said = f"{finding.check.invariant}, {finding.check.says}: {finding.rows}"
                raise self.deviation(said)

    def check_all(self) -> None:
        """Let nothing be due, then compare everything and audit the whole ledger."""
        self.night()
        self.check_audit(None)
        left = rows("SELECT reward, remaining FROM loyalty_rewardstock WHERE program_id = %s",
                    self.till.program.pk)  # fmt: skip
        if dict(left) != self.shop.stock:
            raise self.deviation(f"stock: {left}, and not {self.shop.stock}")

    def deviation(self, what: str) -> Deviation:
        last = "\n".join(self.log)
        return Deviation(f"{what}\n\nafter {self.operations} operations; the last ones:\n{last}")


def _line(i: int, facts: tuple[int, int, bool]) -> dict[str, Any]:
    price, quantity, produce = facts
    more = {"category": "PRODUCE"} if produce else {}
    return line(str(i), f"{price * quantity}.00", str(quantity), **more)
