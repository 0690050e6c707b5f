"""A level by hand: given to a day, taken back, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.engine.look import look
from loyalty.nightly.services import run_night
from loyalty.standing.schemas import AssignLevel, AssignRequest
from loyalty.standing.services import ASSIGN
from tests.factories import Clock, Reply, Till, open_till, rows, unique

LEVELS = [
    {"code": "bronze", "from": "0"},
    {"code": "silver", "from": "250.00"},
    {"code": "gold", "from": "1000.00"},
    {"code": "platinum", "from": "5000.00"},
]
NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)


def assign(till: Till, card: str, level: str | None, until: str | None = None) -> Reply:
    body = {"level": level, "until": until, "reason": "of a partner"}
    request = AssignRequest.model_validate(body, strict=False)
    payload = AssignLevel(("card", card), request)  # type: ignore[arg-type]
    return till.send(till.command(ASSIGN, payload, card, body))[0]


def stands(till: Till, card: str) -> tuple[str, str | None, bool]:
    _, work = look(till.principal, ("card", card))
    until = work.valid_until.isoformat() if work.valid_until else None
    return work.level, until, bool(work.earned_level)


def night(till: Till, clock: Clock, at: datetime) -> None:
    clock.set(at)
    run_night(till.program.pk, today=at.date())


@pytest.fixture
def till(clock: Clock) -> Till:
    clock.set(NOON)
    return open_till(
        tiers={"window": "calendar_year", "levels": LEVELS, "warning_days": 7, "grace_days": 0}
    )


def test_is_kept_to_its_day_and_then_gives_way_to_the_earned_one(till: Till, clock: Clock):
    anna = till.member()
    till.earn(anna, unique("o"), "300.00")
    answer = assign(till, anna, "gold", "2027-06-30")
    assert (answer.status, answer.code, answer.changed, answer.assigned) == (
        200, "gold", True, True
    )  # fmt: skip
    night(till, clock, datetime(2027, 6, 30, 17, tzinfo=UTC))
    assert stands(till, anna) == ("gold", "2027-06-30", True)
    night(till, clock, datetime(2027, 7, 1, 17, tzinfo=UTC))
    assert stands(till, anna) == ("silver", "2028-12-31", False)
    kinds = rows(
        "SELECT from_level, to_level, kind, reason, actor FROM loyalty_tierchange"
        " WHERE member_id = %s ORDER BY number",
        till.ids[anna],
    )
    assert kinds == [
        ("bronze", "silver", "earn", "", "till"),
        ("silver", "gold", "assign", "of a partner", "till"),
        ("gold", "silver", "nightly", "", "engine"),
    ]
    told = rows(
        "SELECT type FROM loyalty_outboxevent WHERE member_id = %s AND type LIKE 'tier.%%'"
        " ORDER BY sequence",
        till.ids[anna],
    )
    assert [row[0] for row in told] == [
        "tier.upgraded",
        "tier.upgraded",
        "tier.downgrade_warning",
        "tier.downgraded",
    ]


def test_earning_more_ends_the_assignment(till: Till):
    anna = till.member()
    assign(till, anna, "silver")
    assert stands(till, anna) == ("silver", None, True)
    till.earn(anna, unique("o"), "1000.00")
    assert stands(till, anna) == ("gold", "2028-12-31", False)


def test_assigning_again_changes_the_day_and_remembers_what_was_earned(till: Till):
    anna = till.member()
    till.earn(anna, unique("o"), "300.00")
    assign(till, anna, "gold", "2027-06-30")
    assert assign(till, anna, "platinum", "2027-09-30").code == "platinum"
    answer = assign(till, anna, None)
    assert (answer.status, answer.code, answer.valid_until) == (200, "silver", "2028-12-31")


def test_what_was_earned_under_it_stays_when_it_is_taken_back(till: Till):
    anna = till.member()
    assign(till, anna, "platinum")
    till.earn(anna, unique("o"), "1200.00")
    assert assign(till, anna, None).code == "gold"


@pytest.mark.parametrize(
    ("level", "until", "status", "code"),
    [
        ("bronze", None, 409, "tier_is_earned"),
        (None, None, 409, "tier_not_assigned"),
        ("diamond", None, 422, "validation_failed"),
        ("gold", "2027-01-14", 422, "validation_failed"),
        (None, "2027-06-30", 422, "validation_failed"),
        ("gold", "2027-01-15", 200, "gold"),
    ],
)
def test_what_is_refused(till: Till, level: str | None, until: str | None, status: int, code: str):
    anna = till.member()
    till.earn(anna, unique("o"), "300.00")
    answer = assign(till, anna, level, until)
    assert (answer.status, answer.code) == (status, code)


def test_a_level_that_is_valid_yet_is_not_taken_away_by_hand(till: Till, clock: Clock):
    anna = till.member()
    till.earn(anna, unique("o"), "1000.00")
    clock.set(datetime(2028, 2, 1, 17, tzinfo=UTC))  # nothing of this year, and gold to its end
    refused = assign(till, anna, "silver")
    assert (refused.status, refused.level) == (409, "gold")
    assert assign(till, anna, "platinum").status == 200
    assert assign(till, anna, "gold").status == 200  # lower than what was assigned, which is said


def test_a_program_without_tiers_has_none_to_assign(clock: Clock):
    clock.set(NOON)
    bare = open_till(rewards=[], tiers=None)
    anna = bare.member()
    assert assign(bare, anna, "gold").code == "validation_failed"


def test_the_same_key_assigns_once(till: Till):
    anna = till.member()
    body = AssignRequest.model_validate({"level": "gold", "reason": "twice"}, strict=False)
    payload = AssignLevel(("card", anna), body)  # type: ignore[arg-type]
    command = till.command(ASSIGN, payload, anna, key=unique("k"))
    first, again = till.send(command)[0], till.send(command)[0]
    assert (first.body, again.replayed) == (again.body, True)
    found = rows("SELECT count(*) FROM loyalty_tierchange WHERE member_id = %s", till.ids[anna])
    assert found == [(1,)]


def test_a_night_in_between_does_not_touch_it(till: Till, clock: Clock):
    anna = till.member()
    assign(till, anna, "gold")
    for days in (1, 40, 400):
        night(till, clock, NOON + timedelta(days=days))
    assert stands(till, anna) == ("gold", None, True)
