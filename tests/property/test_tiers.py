"""Levels, whatever the program and whatever a member buys.

Goal: no order of purchases matters, nobody stands lower than what they bought warrants, nobody
falls without the warning and the whole grace, and a night may be run twice or late.
Method: Hypothesis draws policies and days of purchases; nights are run day by day, purely.
"""

from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty.programs.rules import TierLevel, TierPolicy
from loyalty.tiers.rules import (
    Held,
    Review,
    holding_metric,
    level_for,
    lowest_kept,
    rank_of,
    returned,
    review,
    upgrade,
)
from loyalty.tiers.windows import ActivityDay, metric_in, validity_end, window_of

START = date(2027, 11, 1)
JOINED = date(2024, 2, 29)
few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def policies(draw: st.DrawFn) -> TierPolicy:
    keeps = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    levels = tuple(
        TierLevel(f"l{rank}", f"L{rank}", 100 * rank, keep=rank > 0 and keeps[rank] and keeps[0])
        for rank in range(4)
    )
    window = draw(st.sampled_from(["rolling", "calendar_year", "membership_year"]))
    kinds = ["months", "end_of_year", "end_of_next_year"]
    if window == "rolling":
        kinds.append("while_qualifying")
    return TierPolicy(
        levels=levels,
        window=window,
        rolling_months=draw(st.integers(1, 14)),
        validity=draw(st.sampled_from(kinds)),
        validity_months=draw(st.integers(1, 14)),
        downgrade=draw(st.sampled_from(["one_level", "recalculate", "never"])),
        grace_days=draw(st.sampled_from([0, 1, 30])),
        warning_days=draw(st.sampled_from([0, 7, 30])),
        on_return="recalculate",
    )


purchases = st.lists(
    st.builds(
        ActivityDay,
        day=st.integers(-400, 0).map(lambda n: START + timedelta(days=n)),
        spend=st.integers(0, 250),
        points=st.just(0),
        orders=st.just(1),
    ),
    max_size=8,
)


def metric(policy: TierPolicy, days: list[ActivityDay], today: date) -> int:
    return metric_in(policy, days, window_of(policy, as_of=today, enrolled_on=JOINED))


def night(policy: TierPolicy, held: Held, days: list[ActivityDay], today: date) -> Review:
    return review(policy, held=held, days=days, today=today, enrolled_on=JOINED)


def after(held: Held, found: Review, today: date) -> Held:
    """Apply a review as the engine does."""
    if found.kind == "warn":
        return held._replace(grace_until=found.grace_until)
    if found.kind == "renew":
        return Held(held.level, held.since, found.valid_until)
    if found.kind == "move":
        assert found.to is not None
        return Held(found.to.code, today, found.valid_until)
    return held


def risen(policy: TierPolicy, days: list[ActivityDay]) -> Held:
    """Buy all of it, one after the other, as of the start."""
    held, seen = Held("l0", START), []
    for day in days:
        seen.append(day)
        level = upgrade(policy, level=held.level, metric=metric(policy, seen, START))
        if level is not None:
            until = validity_end(policy, earned_on=START, enrolled_on=JOINED)
            held = Held(level.code, START, until)
    return held


@few
@given(policies(), purchases, st.randoms(use_true_random=False))
def test_the_order_of_purchases_does_not_matter(policy, days, dice) -> None:
    shuffled = list(days)
    dice.shuffle(shuffled)
    assert risen(policy, days) == risen(policy, shuffled)
    assert risen(policy, days).level == level_for(policy, metric(policy, days, START)).code


@few
@given(policies(), purchases, purchases)
def test_nobody_falls_below_what_they_bought_or_without_warning_and_grace(
    policy, days, later
) -> None:
    held = risen(policy, days)
    moved = [row._replace(day=row.day + timedelta(days=500)) for row in later]
    warned: date | None = None
    for step in range(1, 500, 3):
        today = START + timedelta(days=step)
        seen = [*days, *(row for row in moved if row.day <= today)]
        rank = rank_of(policy, held.level)
        found = night(policy, held, seen, today)
        if found.kind == "warn":
            warned = today
        if found.kind == "move":
            assert found.to is not None
            fell_to = rank_of(policy, found.to.code)
            reached = rank_of(policy, level_for(policy, metric(policy, seen, today)).code)
            assert max(reached, lowest_kept(policy, rank)) <= fell_to < rank
            assert policy.downgrade != "one_level" or fell_to == rank - 1
            assert held.valid_until is None or today > held.valid_until
            if policy.grace_days:
                assert warned is not None
                assert today > warned + timedelta(days=policy.grace_days)
        held = after(held, found, today)
        warned = None if held.grace_until is None else warned
        again = night(policy, held, seen, today)
        assert again.kind == "keep", (found, again)


@few
@given(policies(), purchases, st.integers(1, 20))
def test_a_late_night_renews_as_a_prompt_one(policy, days, late) -> None:
    held = risen(policy, days)
    if held.valid_until is None or policy.validity == "end_of_year":
        return
    prompt = night(policy, held, days, held.valid_until + timedelta(days=1))
    found = night(policy, held, days, held.valid_until + timedelta(days=late))
    if prompt.kind == "renew":
        assert found == prompt
    else:
        assert found.kind == prompt.kind


@few
@given(policies(), purchases)
def test_a_return_takes_back_no_more_than_what_came_back_gave(policy, days) -> None:
    held = risen(policy, days)
    back = [row._replace(spend=-row.spend, orders=-1) for row in days[:1]]
    before = holding_metric(policy, days, today=START, enrolled_on=JOINED)
    left = holding_metric(policy, [*days, *back], today=START, enrolled_on=JOINED)
    level = returned(policy, held=held, before=before, after=left)
    if level is not None:
        assert level_for(policy, left).threshold <= level.threshold
        assert level.threshold < policy.levels[rank_of(policy, held.level)].threshold
