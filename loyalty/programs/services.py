"""Change a program: apply a whole one, and publish what the tables hold."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models, transaction
from django.db.models import F

from loyalty.programs import selectors
from loyalty.programs.changes import describe_changes
from loyalty.programs.document import validate
from loyalty.programs.entries import Columns
from loyalty.programs.models import (
    CURRENCY_IS_FIXED,
    EarningRule,
    PartOfProgram,
    PointCurrency,
    Program,
    PublishedVersion,
    Reward,
    RewardStock,
    Store,
    TierLevel,
)
from loyalty.programs.problems import DocumentInvalid, Problem


def apply_document(document: Mapping[str, Any], *, actor: str) -> Program:
    """Make a program what a document says, and publish it: all of it, or nothing.

    What the document does not name is removed from the program; points that members hold and
    the stock that is left are not touched.

    Args:
        document: In the shape of a program file.
        actor: Who does it, kept with the version.

    Raises:
        DocumentInvalid: With all problems that were found.
    """
    wanted = validate(document)
    with transaction.atomic():
        program = _write_program(wanted)
        _write_parts(program, wanted)
        publish(program, actor=actor)
    return program


def publish(program: Program, *, actor: str) -> int:
    """Make the draft in the tables what tills use from their next request on.

    Nothing new is published where nothing changed.

    Args:
        actor: Who does it, kept with the version.

    Returns:
        The version that is live now.

    Raises:
        DocumentInvalid: The draft contradicts itself, or a stock falls below what is taken.

    Source: docs/decisions/0002-published-program.md.
    """
    with transaction.atomic():
        # Without the key: enrolments refer to the program, and must not wait for a marketer.
        locked = Program.objects.select_for_update(no_key=True).get(pk=program.pk)
        before, after = selectors.live_document(locked.pk), selectors.document(locked)
        if before != after:
            locked.version += 1
            _add_version(locked, before, after, actor)
            _change_stock(locked.pk, after["rewards"])
    program.version = locked.version
    return locked.version


def _add_version(
    program: Program, before: dict[str, Any] | None, after: dict[str, Any], actor: str
) -> None:
    if before is not None and before["currency"] != after["currency"]:
        raise DocumentInvalid([Problem(("currency",), CURRENCY_IS_FIXED)])
    PublishedVersion.objects.create(
        program=program,
        version=program.version,
        document=after,
        published_by=actor,
        summary="\n".join(describe_changes(before, after)),
    )
    program.save(update_fields=["version"])


def _write_program(wanted: Mapping[str, Any]) -> Program:
    columns = Program.part.read(wanted)
    program, created = Program.objects.select_for_update(no_key=True).get_or_create(
        code=wanted["program"], defaults=columns
    )
    if not created:
        for name, value in columns.items():
            setattr(program, name, value)
        program.save(update_fields=list(columns))
    return program


def _write_parts(program: Program, wanted: Mapping[str, Any]) -> None:
    points = PointCurrency.part.read(wanted["points"])
    PointCurrency.objects.update_or_create(program=program, defaults=points)
    levels = wanted["tiers"]["levels"] if "tiers" in wanted else []
    _replace(program, Store, map(Store.part.read, wanted["stores"]))
    _replace(program, TierLevel, map(TierLevel.part.read, levels))
    _replace(program, EarningRule, _in_order(EarningRule, wanted["earning_rules"]))
    _replace(program, Reward, _in_order(Reward, wanted["rewards"]))


def _in_order(model: type[PartOfProgram], entries: list[Any]) -> Iterable[Columns]:
    for position, entry in enumerate(entries):
        yield {**model.part.read(entry), "position": position}


def _replace(program: Program, model: type[models.Model], rows: Iterable[Columns]) -> None:
    """Leave exactly these rows; a code that stays keeps its row, and links to it work on."""
    wanted = [model(program=program, **columns) for columns in rows]
    manager = model._default_manager
    codes = [getattr(row, "code") for row in wanted]  # noqa: B009 -- every part has one
    manager.filter(program=program).exclude(code__in=codes).delete()
    keys = {"id", "program", "code"}
    manager.bulk_create(
        wanted,
        update_conflicts=True,
        unique_fields=["program", "code"],
        update_fields=[field.name for field in model._meta.fields if field.name not in keys],
    )


def _change_stock(program_id: int, rewards: list[dict[str, Any]]) -> None:
    """Change what is left by the difference of the totals; tills may be taking from it now.

    In the order of codes, like everybody who locks more than one.
    """
    totals = {
        reward["code"]: (index, reward["stock"])
        for index, reward in enumerate(rewards)
        if "stock" in reward
    }
    for code, (index, total) in sorted(totals.items()):
        row, created = RewardStock.objects.get_or_create(
            program_id=program_id, reward=code, defaults={"total": total, "remaining": total}
        )
        if not created and row.total != total and not _moved_to(row, total):
            row.refresh_from_db()
            taken = row.total - row.remaining
            message = f"must be at least {taken}: so many are already taken; switch it off instead"
            raise DocumentInvalid([Problem(("rewards", index, "stock"), message)])


def _moved_to(row: RewardStock, total: int) -> bool:
    """One statement that also checks, because `remaining` may have changed since it was read."""
    enough = RewardStock.objects.filter(pk=row.pk, remaining__gte=F("total") - total)
    left = F("remaining") + total - F("total")
    return bool(enough.update(remaining=left, total=total))
