"""Change a program: apply a whole one, publish what the tables hold, go back to what was live."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Now

from loyalty.errors import DraftChanged, NotFound
from loyalty.programs import budgets, drafts, selectors
from loyalty.programs.changes import describe_changes
from loyalty.programs.document import validate
from loyalty.programs.entries import Columns
from loyalty.programs.models import (
    CURRENCY_IS_FIXED,
    Campaign,
    EarningRule,
    Outcome,
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


def apply_document(document: Mapping[str, Any], *, actor: str, reason: str = "") -> Program:
    """Make a program what a document says, and publish it: all of it, or nothing.

    What the document does not name is removed from the program, changes of the draft that were
    not live yet among it; points that members hold and the stock that is left are not touched.

    Args:
        document: In the shape of a program file.
        actor: Who does it, kept with the version.

    Raises:
        DocumentInvalid: With all problems that were found.
    """
    wanted = validate(document)
    with transaction.atomic():
        program = _write_draft(wanted, actor=actor)
        publish(program, actor=actor, reason=reason)
    return program


def publish(
    program: Program,
    *,
    actor: str,
    reason: str = "",
    revision: int | None = None,
    restores: int | None = None,
) -> int:
    """Make the draft in the tables what tills use from their next request on.

    Nothing new is published where nothing changed.

    Args:
        actor: Who does it, kept with the version.
        revision: Of the draft that was reviewed; None publishes the draft as it is.
        restores: The earlier version that this one goes back to.

    Returns:
        The version that is live now.

    Raises:
        DraftChanged: The draft is not the one that was reviewed any more.
        DocumentInvalid: The draft contradicts itself, or a stock falls below what is taken.

    Source: docs/decisions/0002-published-program.md.
    """
    with transaction.atomic():
        locked = drafts.lock(program.pk)
        if revision is not None and revision != locked.revision:
            raise DraftChanged(drafts.who_edited(locked))
        before, after = selectors.live_document(locked.pk), selectors.document(locked)
        if before != after:
            _check_currency(before, after)
            summary = "\n".join(describe_changes(before, after))
            locked.version += 1
            PublishedVersion.objects.create(
                program=locked,
                version=locked.version,
                document=after,
                published_by=actor,
                summary=summary,
                reason=reason,
                restores=restores,
            )
            locked.save(update_fields=["version"])
            _change_stock(locked.pk, after["rewards"])
            budgets.change_budgets(locked.pk, after["campaigns"])
            _cancel_plan(locked, actor)
    program.version = locked.version
    return locked.version


def discard_draft(program: Program, *, actor: str) -> None:
    """Make the draft what is live again; what was edited since is gone.

    Raises:
        NotFound: Nothing is live yet.
        DocumentInvalid: What is live would not be accepted any more.
    """
    with transaction.atomic():
        live = selectors.live_document(drafts.lock(program.pk).pk)
        if live is None:
            raise NotFound("This program was never published: there is nothing to go back to.")
        _write_draft(validate(live), actor=actor)


def roll_back(program: Program, to: int, *, actor: str, reason: str) -> int:
    """Publish an earlier version again, as a new one; the draft becomes the same.

    Stock stays as it is counted today: the mugs that arrived since do not vanish. A budget that
    was raised since, and of which more is given than it was, becomes what is given: used up.

    Returns:
        The version that is live now.

    Raises:
        NotFound: There was no such version.
        DocumentInvalid: That version would not be accepted any more.
    """
    with transaction.atomic():
        locked = drafts.lock(program.pk)
        document = selectors.version_document(locked.pk, to)
        _write_draft(validate(_as_counted_today(locked.pk, document)), actor=actor)
        return publish(program, actor=actor, reason=reason, restores=to)


def check_draft(program: Program) -> dict[str, Any]:
    """Tell what publishing the draft would refuse, without publishing.

    Returns:
        The canonical document of the draft.

    Raises:
        DocumentInvalid: With all problems that were found.
    """
    document = selectors.document(program)
    _check_currency(selectors.live_document(program.pk), document)
    counted = {row.reward: row for row in RewardStock.objects.filter(program_id=program.pk)}
    too_low = [
        _below_taken(index, row)
        for index, reward in enumerate(document["rewards"])
        if "stock" in reward and (row := counted.get(reward["code"]))
        if row.remaining + reward["stock"] - row.total < 0
    ]
    too_low += budgets.too_low(program.pk, document["campaigns"])
    if too_low:
        raise DocumentInvalid(too_low)
    return document


def _cancel_plan(program: Program, actor: str) -> None:
    said = f"Version {program.version} was published before, by {actor}."
    waiting = program.scheduled.filter(state=Outcome.WAITING)
    waiting.update(state=Outcome.CANCELLED, said=said, finished_at=Now())


def _check_currency(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    if before is not None and before["currency"] != after["currency"]:
        raise DocumentInvalid([Problem(("currency",), CURRENCY_IS_FIXED)])


def _as_counted_today(program_id: int, document: Mapping[str, Any]) -> dict[str, Any]:
    rows = RewardStock.objects.filter(program_id=program_id)
    totals = {row.reward: row.total for row in rows}
    rewards = [
        {**reward, "stock": totals.get(reward["code"], reward["stock"])}
        if "stock" in reward
        else reward
        for reward in document["rewards"]
    ]
    used = budgets.used_of(program_id)
    campaigns = [
        {**campaign, "budget_points": max(campaign["budget_points"], used.get(campaign["code"], 0))}
        if "budget_points" in campaign
        else campaign
        for campaign in document.get("campaigns", ())
    ]
    return {**document, "rewards": rewards, "campaigns": campaigns}


def _write_draft(wanted: Mapping[str, Any], *, actor: str) -> Program:
    program = _write_program(wanted)
    _write_parts(program, wanted)
    drafts.mark_edited(program.pk, actor=actor)
    return program


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
    _replace(program, Campaign, _in_order(Campaign, wanted["campaigns"]))
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
            raise DocumentInvalid([_below_taken(index, row)])


def _below_taken(index: int, row: RewardStock) -> Problem:
    taken = row.total - row.remaining
    message = f"must be at least {taken}: so many are already taken; switch it off instead"
    return Problem(("rewards", index, "stock"), message)


def _moved_to(row: RewardStock, total: int) -> bool:
    """One statement that also checks, because `remaining` may have changed since it was read."""
    enough = RewardStock.objects.filter(pk=row.pk, remaining__gte=F("total") - total)
    left = F("remaining") + total - F("total")
    return bool(enough.update(remaining=left, total=total))
