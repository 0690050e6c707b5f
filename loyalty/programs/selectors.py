"""Read a program: the draft in the tables, what is published, and the values that decisions use."""

from functools import lru_cache
from typing import Any

from loyalty.errors import NotFound
from loyalty.programs import entries
from loyalty.programs.changes import Change, changes
from loyalty.programs.compilation import compile_program as compile_program
from loyalty.programs.document import validate
from loyalty.programs.models import Program, PublishedVersion
from loyalty.programs.problems import DocumentInvalid
from loyalty.programs.rules import PublishedProgram

# A process needs one version of each program, and for a moment the one before it.
KEPT_VERSIONS = 32


def get_program(code: str) -> Program:
    """Find a program by its code.

    Raises:
        NotFound: There is no such program.
    """
    program = Program.objects.filter(code=code).first()
    if program is None:
        raise NotFound(f'There is no program with the code "{code}".')
    return program


def draft(program: Program) -> dict[str, Any]:
    """Write what the tables hold in the shape of a program file, unchecked."""
    return {
        **draft_page(program),
        "stores": [store.entry() for store in program.stores.all()],
        "earning_rules": [rule.entry() for rule in program.earning_rules.all()],
        "campaigns": [campaign.entry() for campaign in program.campaigns.all()],
        "rewards": [reward.entry() for reward in program.rewards.all()],
    }


def draft_page(program: Program) -> dict[str, Any]:
    """Write the part of the draft that the program's own page edits."""
    levels = [level.entry() for level in program.tier_levels.all()]
    points = getattr(program, "points", None)
    return {
        **program.entry(),
        "points": points.entry() if points else {},
        "tiers": {**entries.write_tiers(program), "levels": levels} if levels else None,
    }


def document(program: Program) -> dict[str, Any]:
    """Write what the tables hold as the canonical document, with all defaults.

    Raises:
        DocumentInvalid: The draft cannot be published as it is.
    """
    return validate(draft(program))


def live_document(program_id: int) -> dict[str, Any] | None:
    """Read the document that tills use now; None where nothing is published yet."""
    live = PublishedVersion.objects.filter(program_id=program_id).order_by("-version").first()
    return live.document if live else None


def version_document(program_id: int, version: int) -> dict[str, Any]:
    """Read the document of one published version.

    Raises:
        NotFound: There was no such version.
    """
    found = PublishedVersion.objects.filter(program_id=program_id, version=version).first()
    if found is None:
        raise NotFound(f"There is no version {version} of this program.")
    document: dict[str, Any] = found.document
    return document


def unpublished(program: Program) -> list[Change]:
    """List how the draft differs from what is live."""
    return changes(live_document(program.pk), draft_document(program))


def draft_document(program: Program) -> dict[str, Any]:
    """Write what the tables hold, canonical unless it contradicts itself."""
    try:
        return document(program)
    except DocumentInvalid:
        written: dict[str, Any] = _without_nothing(draft(program))
        return written


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nothing(part) for key, part in value.items() if part is not None}
    return [_without_nothing(part) for part in value] if isinstance(value, list) else value


def count_unpublished(program: Program) -> int:
    """Count how the draft differs; asked on every page of the program, so worked out once."""
    return _count_unpublished(program.pk, program.version, program.revision)


@lru_cache(maxsize=256)
def _count_unpublished(program_id: int, version: int, revision: int) -> int:
    return len(unpublished(Program.objects.get(pk=program_id)))


def current_version(program_id: int) -> int:
    """Tell which version tills use now; 0 is none yet.

    Raises:
        NotFound: There is no such program.
    """
    found = Program.objects.filter(pk=program_id).values_list("version", flat=True).first()
    if found is None:
        raise NotFound("There is no such program.")
    return found


def published_program(program_id: int, *, version: int | None = None) -> PublishedProgram:
    """Get a published version, read once per process.

    A version never changes, so nothing has to be flushed: who knows a newer number asks for it.
    Ask only for committed versions, never within the transaction that publishes.

    Args:
        version: None asks the database for the present one.

    Raises:
        NotFound: There is no such program, or it was never published.
    """
    return _load(program_id, current_version(program_id) if version is None else version)


@lru_cache(maxsize=KEPT_VERSIONS)
def _load(program_id: int, version: int) -> PublishedProgram:
    found = PublishedVersion.objects.filter(program_id=program_id, version=version).first()
    if found is None:
        raise NotFound("This program is not published yet.")
    return compile_program(found.document, id=program_id, version=version)
