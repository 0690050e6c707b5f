"""Read a program: the draft in the tables, what is published, and the values that decisions use."""

from functools import lru_cache
from typing import Any

from loyalty.errors import NotFound
from loyalty.programs import entries
from loyalty.programs.compilation import compile_program as compile_program
from loyalty.programs.document import validate
from loyalty.programs.models import Program, PublishedVersion
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
    levels = [level.entry() for level in program.tier_levels.all()]
    points = getattr(program, "points", None)
    return {
        **program.entry(),
        "points": points.entry() if points else {},
        "stores": [store.entry() for store in program.stores.all()],
        "earning_rules": [rule.entry() for rule in program.earning_rules.all()],
        "tiers": {**entries.write_tiers(program), "levels": levels} if levels else None,
        "rewards": [reward.entry() for reward in program.rewards.all()],
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
