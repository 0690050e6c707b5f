"""A reward's stock: marketers change the total, tills take from what is left."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from loyalty.programs import files, selectors, services
from loyalty.programs.models import Program, Reward, RewardStock
from loyalty.programs.problems import DocumentInvalid
from tests.unit.program_file import GROCER


def stock() -> tuple[int, int]:
    row = RewardStock.objects.get(reward="mug")
    return row.total, row.remaining


def take(count: int) -> None:
    RewardStock.objects.filter(reward="mug").update(remaining=F("remaining") - count)


def set_total(program: Program, total: int | None) -> None:
    Reward.objects.filter(program=program, code="mug").update(stock=total)
    services.publish(program, actor="tests")


def test_all_are_left_at_first(grocer: Program) -> None:
    assert stock() == (200, 200)
    assert not RewardStock.objects.filter(reward="five-off").exists()


@pytest.mark.parametrize(
    ("total", "remaining"), [(250, 200), (200, 150), (180, 130), (51, 1), (50, 0)]
)
def test_a_new_total_changes_what_is_left_by_the_difference(
    grocer: Program, total: int, remaining: int
) -> None:
    take(50)

    set_total(grocer, total)

    assert stock() == (total, remaining)


def test_other_changes_never_reset_it(grocer: Program) -> None:
    take(50)
    wanted: dict[str, Any] = files.read(GROCER)
    wanted["rewards"][1]["cost"] = 700

    services.apply_document(wanted, actor="tests")

    assert stock() == (200, 150)


def test_a_total_below_what_is_taken_is_refused(grocer: Program) -> None:
    take(50)

    with pytest.raises(DocumentInvalid) as caught:
        set_total(grocer, 49)

    [problem] = caught.value.problems
    assert problem.pointer == "/rewards/1/stock"
    assert problem.message == (
        "must be at least 50: so many are already taken; switch it off instead"
    )
    assert stock() == (200, 150)
    assert selectors.current_version(grocer.pk) == 1


def test_it_counts_on_after_a_time_without_limit(grocer: Program) -> None:
    take(50)

    set_total(grocer, None)
    assert selectors.published_program(grocer.pk).rewards["mug"].stock is False
    set_total(grocer, 210)

    assert stock() == (210, 160)
    assert selectors.published_program(grocer.pk).rewards["mug"].stock is True


def test_it_counts_on_when_a_reward_comes_back(grocer: Program) -> None:
    take(50)
    without = files.read(GROCER)
    del without["rewards"][1]

    services.apply_document(without, actor="tests")
    services.apply_document(files.read(GROCER), actor="tests")

    assert stock() == (200, 150)


def test_the_database_refuses_less_than_nothing(grocer: Program) -> None:
    with pytest.raises(IntegrityError, match="stock_not_negative"), transaction.atomic():
        take(201)
