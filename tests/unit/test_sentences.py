"""What reviews, lists and `program diff` say of rules and campaigns."""

from typing import Any

import pytest

from loyalty.programs import sentences
from loyalty.programs.changes import differences

BONUS = {"code": "x", "bonus": 50}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"when": {"hour": {"from": 16, "to": 18}}}, "50 points, from 16:00 to 18:00"),
        ({"when": {"member_age_days": {"max": 30}}}, "50 points, for members of at most 30 days"),
        ({"when": {"member_age_days": {"min": 1, "max": 9}}}, "for members of 1 to 9 days"),
        ({"when": {"nth_order": {"is": 1}}}, "50 points, for a member's 1st order"),
        ({"when": {"nth_order": {"is": 12}}}, "for a member's 12th order"),
        ({"when": {"nth_order": {"every": 3}}}, "50 points, for each 3rd order of a member"),
        ({"when": {"birthday": "day"}}, "50 points, on the birthday"),
        ({"when": {"birthday": "month"}}, "50 points, in the birthday's month"),
        ({"trigger": "member.birthday"}, "50 points, for a birthday"),
        ({"group": "fresh"}, "50 points, only the best of group fresh"),
        ({"limit": {"times": 1, "per": "week"}}, "at most once a week for each member"),
        ({"limit": {"times": 3, "per": "ever"}}, "at most 3 times in all for each member"),
        (
            {"limit": {"times": 2, "points": 1500, "per": "month"}},
            "at most 2 times and 1,500 points a month for each member",
        ),
        ({"to": "2026-12-24", "active": False}, "50 points, until 2026-12-24, switched off"),
    ],
)
def test_a_rule_in_words(more: dict[str, Any], words: str) -> None:
    assert sentences.rule({**BONUS, **more}, "USD").endswith(words)


def test_a_campaign_in_words() -> None:
    days = {"code": "c", "from": "2026-12-01", "to": "2026-12-24"}
    rules = [BONUS, {"code": "y", "points": 1, "per": "2.00", "steps": "proportional"}]
    assert sentences.campaign({**days, "rules": rules}, "USD") == (
        "from 2026-12-01 until 2026-12-24, without a budget; x: 50 points; "
        "y: 1 point for each 2.00 USD, in proportion"
    )
    limited = {**days, "rules": rules[:1], "budget_points": 9000, "when_short": "skip"}
    assert sentences.campaign({**limited, "active": False}, "USD") == (
        "from 2026-12-01 until 2026-12-24, at most 9,000 points in all and no award in part, "
        "switched off; x: 50 points"
    )


def test_a_change_of_a_rule_reads_as_the_rule_does() -> None:
    before = {**BONUS, "trigger": "order", "when": {"weekday": ["sat"]}}
    after = {**BONUS, "trigger": "member.birthday", "when": {"weekday": ["sat", "sun"]}}
    assert [f"{change.what}: {change.news}" for change in differences(before, after)] == [
        "set off by: a purchase → a birthday",
        "for weekday: Saturday → Saturday, Sunday",
    ]


def test_a_level_in_words() -> None:
    benefits = {"perks": ["Free delivery"], "rewards": ["mug"], "free_redemptions": {"tea": 2}}
    entry = {"code": "gold", "from": "500.00", "keep": True, "benefits": benefits}
    assert sentences.level(entry) == (
        "from 500.00, kept for life, “Free delivery”, gives mug on reaching it, 2 × tea free in a "
        "year"
    )
    assert sentences.level({"code": "silver", "from": "250.00", "keep": False}) == "from 250.00"
