"""Change one part of a draft as its entry in a program file: what the configuration API writes.

The same checks, in the same sentences, as a file and the admin; pointers are those of the entry.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.db import transaction
from django.db.models import Max

from loyalty.errors import CodeTaken, DraftChanged, NotFound
from loyalty.programs import document, drafts, entries, selectors, services
from loyalty.programs.models import (
    Campaign,
    EarningRule,
    PartOfProgram,
    Program,
    Reward,
    Store,
    TierLevel,
)
from loyalty.programs.problems import DocumentInvalid, Path, Problem, told
from loyalty.programs.shapes.tiers import TiersEntry

Written = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One list of a program.

    Attributes:
        model: The table of its rows, one of those that are a part of a program.
        path: Where the list stands in the document.
        ordered: Whether its place in the list counts, and is kept in a column.
    """

    model: Any
    path: tuple[str, ...]
    ordered: bool = False

    @property
    def noun(self) -> str:
        """Name an entry of the list."""
        return str(self.model._meta.verbose_name)

    @property
    def one(self) -> str:
        """Name an entry with its article: a store, an earning rule."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


REWARDS: Final = Kind(Reward, ("rewards",), ordered=True)
EARNING_RULES: Final = Kind(EarningRule, ("earning_rules",), ordered=True)
CAMPAIGNS: Final = Kind(Campaign, ("campaigns",), ordered=True)
STORES: Final = Kind(Store, ("stores",))
LEVELS: Final = Kind(TierLevel, ("tiers", "levels"))


@dataclass(frozen=True, slots=True)
class Part:
    """An entry as it is in the draft, and the mark by which a change of it is noticed."""

    entry: dict[str, Any]

    @property
    def etag(self) -> str:
        """Hash what the entry says; equal where it says the same."""
        return etag_of(self.entry)


def etag_of(value: object) -> str:
    """Make the entity tag of a JSON value."""
    written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.sha256(written).hexdigest()[:20]}"'


def list_parts(program_id: int, kind: Kind, *, after: str, limit: int) -> list[Part]:
    """Read entries of the draft in the order of their codes."""
    rows = kind.model.objects.filter(program_id=program_id, code__gt=after)
    program = Program.objects.get(pk=program_id)
    return [_part(program, row) for row in rows.order_by("code")[:limit]]


def get_part(program_id: int, kind: Kind, code: str) -> Part:
    """Read one entry of the draft.

    Raises:
        NotFound: The draft has none with this code.
    """
    return _part(Program.objects.get(pk=program_id), _row(program_id, kind, code))


def add_part(program_id: int, kind: Kind, written: Written, *, actor: str) -> Part:
    """Add an entry to the draft.

    Raises:
        CodeTaken: The draft has one with this code.
        DocumentInvalid: With pointers from the entry on.
    """
    with transaction.atomic():
        program = drafts.lock(program_id)
        columns = _columns(program, kind, written)
        rows = kind.model.objects.filter(program_id=program_id)
        if rows.filter(code=columns["code"]).exists():
            raise CodeTaken(f"This program has {kind.one} with the code {columns['code']}.")
        if kind.ordered:
            last = rows.aggregate(last=Max("position"))["last"]
            columns["position"] = 0 if last is None else last + 1
        row = kind.model(program=program, **columns)
        row.save()
        _edited(program, kind, columns["code"], actor)
        return _part(program, row)


def change_part(
    program_id: int, kind: Kind, code: str, change: Written, *, match: str, actor: str
) -> Part:
    """Change keys of an entry; null takes one out (RFC 7396, at the entry's own level).

    Args:
        match: The entity tag of what the caller has read; empty, or "*", does not ask.

    Raises:
        NotFound: The draft has none with this code.
        DraftChanged: Somebody changed it since the caller read it.
        DocumentInvalid: With pointers from the entry on.
    """
    with transaction.atomic():
        program = drafts.lock(program_id)
        row = _row(program_id, kind, code)
        before = _part(program, row)
        if change.get("code", code) != code:
            raise DocumentInvalid([Problem(("code",), "stays as it is; add another one instead")])
        columns = _columns(program, kind, merged(before.entry, change))
        _check_match(before.etag, match)  # after what no reading anew could mend
        for name, value in columns.items():
            setattr(row, name, value)
        row.save()
        after = _part(program, row)
        if after != before:
            _edited(program, kind, code, actor)
        return after


def remove_part(program_id: int, kind: Kind, code: str, *, match: str, actor: str) -> None:
    """Take an entry out of the draft; a second time finds nothing.

    Raises:
        NotFound: The draft has none with this code.
        DraftChanged: Somebody changed it since the caller read it.
        DocumentInvalid: Other parts of the program need it.
    """
    with transaction.atomic():
        program = drafts.lock(program_id)
        row = _row(program_id, kind, code)
        _check_match(_part(program, row).etag, match)
        row.delete()
        _edited(program, kind, code, actor)


def tier_policy(program: Program) -> dict[str, Any]:
    """Read how members rise and fall, and the levels."""
    levels = [_part(program, level).entry for level in program.tier_levels.all()]
    return {**entries.write_tiers(program), "levels": levels}


def change_tier_policy(program_id: int, change: Written, *, match: str, actor: str) -> Program:
    """Change how members rise and fall; the levels have an address each.

    Raises:
        DraftChanged: Somebody changed it since the caller read it.
        DocumentInvalid: With pointers from the policy on.
    """
    with transaction.atomic():
        program = drafts.lock(program_id)
        before = tier_policy(program)
        if "levels" in change:
            raise DocumentInvalid([Problem(("levels",), "change each at its own address")])
        wanted = merged(before, change)
        # Without levels there is nothing to rise to; the policy is kept for when there are.
        ground = {"levels": before["levels"] or [{"code": "ground", "from": "0"}]}
        context = document.context_of({"currency": program.currency, "tiers": wanted})
        policy = document.parse(TiersEntry, {**wanted, **ground}, context)
        _check_match(etag_of(before), match)
        columns = entries.read_tiers(policy.model_dump(by_alias=True, exclude_none=True))
        for name, value in columns.items():
            setattr(program, name, value)
        program.save(update_fields=list(columns))
        if tier_policy(program) != before:
            drafts.mark_edited(program.pk, actor=actor)
            _check(program, ("tiers",))
        return program


def merged(entry: Written, change: Written) -> dict[str, Any]:
    """Merge a change into an entry: null takes a key out, and its default counts again."""
    both = {**entry, **change}
    return {key: value for key, value in both.items() if value is not None}


def _part(program: Program, row: PartOfProgram) -> Part:
    """Write a row as a canonical entry."""
    shaped = document.parse(row.part.shape, row.entry(), program.context())
    return Part(shaped.model_dump(by_alias=True, exclude_none=True))


def _columns(program: Program, kind: Kind, written: Written) -> dict[str, Any]:
    shape = kind.model.part.shape
    parsed = document.parse(shape, written, program.context())
    return dict(kind.model.part.read(parsed.model_dump(by_alias=True, exclude_none=True)))


def _row(program_id: int, kind: Kind, code: str) -> Any:
    rows = kind.model.objects.filter(program_id=program_id, code=code)
    row = rows.select_related("program").first()
    if row is None:
        raise NotFound(f"The draft of this program has no {kind.noun} with that code.")
    return row


def _check_match(etag: str, match: str) -> None:
    wanted = {tag.strip().removeprefix("W/") for tag in match.split(",") if tag.strip()}
    if wanted and "*" not in wanted and etag not in wanted and etag.strip('"') not in wanted:
        raise DraftChanged()


def _edited(program: Program, kind: Kind, code: str, actor: str) -> None:
    drafts.mark_edited(program.pk, actor=actor)
    program.refresh_from_db()
    _check(program, kind.path, code)


def _check(program: Program, path: tuple[str, ...], code: str = "") -> None:
    """Refuse a draft that contradicts itself, as whoever changed this part sees it."""
    try:
        services.check_draft(program)
    except DocumentInvalid as invalid:
        rows, draft = _codes(program, path), selectors.draft(program)
        raise DocumentInvalid(_seen_from(path, rows, code, draft, invalid.problems)) from None


def _codes(program: Program, path: tuple[str, ...]) -> Sequence[str]:
    kinds = {kind.path: kind for kind in (REWARDS, EARNING_RULES, CAMPAIGNS, STORES, LEVELS)}
    kind = kinds.get(path)
    rows = kind.model.objects.filter(program=program) if kind else ()
    return [row.code for row in rows]


def _seen_from(
    path: tuple[str, ...],
    codes: Sequence[str],
    code: str,
    draft: Mapping[str, Any],
    problems: Sequence[Problem],
) -> Iterator[Problem]:
    mine: Path = (*path, codes.index(code)) if code in codes else path
    for problem in problems:
        if problem.path[: len(mine)] == mine:
            yield Problem(problem.path[len(mine) :], problem.message)
        else:
            yield Problem((), told(problem, draft))
