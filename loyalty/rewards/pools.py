"""Fill pools with codes, and tell what is in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Final

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Now

from loyalty.rewards.models import CodePool, PoolCode, PoolNotice
from loyalty.rewards.sealing import hash_code, seal

CHUNK: Final = 5_000
LONGEST: Final = 100
NAMED: Final = 20
"""So many lines that are no codes are named."""

_INSERT: Final = """
INSERT INTO loyalty_poolcode (program_id, pool, sealed, code_hash, valid_until, state)
SELECT %s, %s, r.sealed, r.code_hash, r.valid_until, 'free'
FROM unnest(%s::text[], %s::bytea[], %s::date[]) AS r(sealed, code_hash, valid_until)
ON CONFLICT DO NOTHING
"""

_HEADINGS: Final = ("code", "code,valid_until")


@dataclass(slots=True)
class Loaded:
    """How far an upload is.

    Attributes:
        lines: Read so far, empty ones too.
        added: Codes that are new in the pool.
        known: Codes that were in it already, or twice in the file.
        wrong: Lines that are no codes.
        problems: The first of those, by number, with what is wrong.
    """

    lines: int = 0
    added: int = 0
    known: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)


def load_codes(
    program_id: int,
    pool: str,
    lines: Iterable[str],
    *,
    valid_until: date | None = None,
    first_line: int = 1,
) -> Iterator[Loaded]:
    """Put codes into a pool, and tell after each few thousand how far it is.

    Each chunk is committed by itself. An upload that ended half-way is simply done again: what is
    in already is recognised and counted as known.

    Args:
        lines: A code each, or a code, a comma and its last day.
        valid_until: Last day of the codes that have none of their own.
        first_line: The number of the first line, where the file comes in pieces.
    """
    told = Loaded()
    numbered = enumerate(lines, first_line)
    while chunk := list(islice(numbered, CHUNK)):
        codes = _codes_in(chunk, valid_until, told)
        with transaction.atomic():
            added = _insert(program_id, pool, codes)
        told.lines += len(chunk)
        told.added += added
        told.known += len(codes) - added
        yield told


def _codes_in(
    chunk: list[tuple[int, str]], valid_until: date | None, told: Loaded
) -> list[tuple[str, date | None]]:
    """Read the lines of a chunk; what is no code is counted and named."""
    found = []
    for number, line in chunk:
        text = line.strip().lstrip("\ufeff")
        if not text or (number == 1 and text.lower() in _HEADINGS):
            continue
        try:
            found.append(_read(text, valid_until))
        except ValueError as wrong:
            told.wrong += 1
            if len(told.problems) < NAMED:
                told.problems.append(f"line {number}: {wrong}")
    return found


def _read(text: str, valid_until: date | None) -> tuple[str, date | None]:
    code, comma, day = (part.strip() for part in text.partition(","))
    if not code or len(code) > LONGEST or not code.isprintable() or " " in code:
        raise ValueError(f"a code has 1 to {LONGEST} characters and no spaces")
    if not comma:
        return code, valid_until
    try:
        return code, date.fromisoformat(day)
    except ValueError:
        raise ValueError("after the comma stands its last day, such as 2027-12-31") from None


def _insert(program_id: int, pool: str, codes: list[tuple[str, date | None]]) -> int:
    days: dict[str, date | None] = {}
    for code, day in codes:
        days.setdefault(code, day)
    CodePool.objects.update_or_create(
        program_id=program_id, code=pool, defaults={"loaded_at": Now()}
    )
    sealed, hashes = [seal(code) for code in days], [hash_code(code) for code in days]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [program_id, pool, sealed, hashes, [*days.values()]])
        added: int = cursor.rowcount
    if added:
        PoolNotice.objects.filter(
            program_id=program_id, pool=pool, threshold__lt=_free(program_id, pool)
        ).delete()
    return added


def _free(program_id: int, pool: str) -> int:
    free = PoolCode.objects.filter(program_id=program_id, pool=pool, state=PoolCode.State.FREE)
    return free.count()


def count_codes(program_id: int, pool: str) -> dict[str, int]:
    """Count a pool's codes by state: free, held, given, burnt."""
    rows = PoolCode.objects.filter(program_id=program_id, pool=pool).values("state")
    found = {row["state"]: row["number"] for row in rows.annotate(number=Count("id"))}
    return {str(state): found.get(state, 0) for state in PoolCode.State}


def stocked_pools(program_id: int, today: date) -> frozenset[str]:
    """Name the pools that have a code to give."""
    codes = PoolCode.objects.filter(
        Q(valid_until=None) | Q(valid_until__gte=today),
        program_id=program_id,
        pool=OuterRef("code"),
        state=PoolCode.State.FREE,
    )
    pools = CodePool.objects.filter(Exists(codes), program_id=program_id)
    return frozenset(pools.values_list("code", flat=True))


def find_code(program_id: int, pool: str, code: str) -> PoolCode | None:
    """Find a code, also one that can no longer be read, by its hash."""
    wanted = {"program_id": program_id, "pool": pool, "code_hash": hash_code(code.strip())}
    return PoolCode.objects.filter(**wanted).first()
