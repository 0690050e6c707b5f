"""A program whose points expire by inactivity, as its member and its tills see it over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from loyalty.members.selectors import list_standings
from loyalty.nightly.services import run_night
from tests.factories import Clock, open_till, unique
from tests.integration.http.caller import Caller, body_of, order_body

RULES = [
    {"code": "base", "points": 1, "per": "1.00"},
    {
        "code": "review",
        "bonus": 5,
        "trigger": "activity",
        "activity": "review",
        "limit": {"times": 1, "per": "year"},
    },
    {"code": "birthday", "bonus": 50, "trigger": "member.birthday"},
]
ZULU = "%Y-%m-%dT%H:%M:%SZ"


def at(month: int, day: int, hour: int = 12, year: int = 2027) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


class Anna:
    """A member, her phone, and the nights that pass."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        points = {"expiry": {"inactivity_months": 6}, "expiring_notice_days": [30]}
        self.till = open_till(points=points, earning_rules=RULES, timezone="Europe/Rome")
        self.api = Caller(self.till.program.pk)
        card = {"type": "card", "value": unique("c")}
        profile = {"birth_date": "1990-09-01"}
        body = {"identifiers": [card], "profile": profile}
        self.id = body_of(self.api.post("/v1/members", body))["id"]

    def passes(self, until: datetime) -> None:
        """Time passes; now and then there is a night, and one at the end."""
        while self.clock.now < until:
            self.clock.set(min(self.clock.now + timedelta(days=40), until))
            run_night(self.till.program.pk, today=self.clock.now.date())

    def earn(self, **what: Any) -> Any:
        return body_of(self.api.post("/v1/earn", {"member": self.id, **what}))

    def review(self, moment: datetime) -> Any:
        happened = {"ref": unique("r"), "occurred_at": moment.strftime(ZULU)}
        return self.earn(activity={"type": "review", **happened})

    def get(self, what: str) -> Any:
        return body_of(self.api.get(f"/v1/members/{self.id}/{what}"))

    def expiring(self) -> list[tuple[int, str]]:
        found = self.get("balance")["expiring"]
        return [(one["points"], one["expires_at"]) for one in found]


def test_a_year_of_a_member_who_comes_now_and_then(clock: Clock):
    clock.set(at(1, 10))
    anna = Anna(clock)
    bought = anna.earn(order=order_body())
    assert (bought["points"], bought["expires_at"][:16]) == (10, "2027-07-10T22:00")

    anna.passes(at(3, 31))  # she reviews something: half a year later is 30 September
    reviewed = anna.review(at(3, 31, 11))
    assert reviewed["expires_at"][:16] == "2027-09-30T22:00"
    assert [(points, ends[:16]) for points, ends in anna.expiring()] == [(15, "2027-09-30T22:00")]
    shown = anna.get("lots")["items"]
    assert {(lot["slides"], lot["expires_at"][:16]) for lot in shown} == {
        (True, "2027-09-30T22:00")
    }

    anna.passes(at(4, 20))  # one review a year is worth something: a second one is not
    assert anna.review(at(4, 20, 11))["points"] == 0
    assert [ends[:16] for _, ends in anna.expiring()] == ["2027-09-30T22:00"]

    anna.passes(at(9, 10))  # her birthday gives points, and no time
    assert [(points, ends[:16]) for points, ends in anna.expiring()] == [(65, "2027-09-30T22:00")]
    standing = list_standings([UUID(anna.id)])[UUID(anna.id)]
    assert (standing.expiring, str(standing.expiring_on)) == (65, "2027-09-30")

    used = body_of(anna.api.post("/v1/redeem", {"member": anna.id, "points": 20}))
    assert used["balance"]["available"] == 45
    assert anna.expiring()[0][1][:16] == "2028-03-10T23:00"

    anna.passes(at(3, 11, year=2028))
    assert anna.get("balance")["available"] == 0
    entry = anna.get("ledger")["items"][0]
    assert (entry["kind"], entry["points"]) == ("expire", -45)
    assert {lot["expires_at"][:10] for lot in entry["facts"]["lots"]} == {"2028-03-10"}
    assert {(lot["slides"], lot["available"]) for lot in anna.get("lots")["items"]} == {(False, 0)}
