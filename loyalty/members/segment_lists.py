"""Fill a segment from a list: a file, or an upload that comes in pieces."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, cast
from uuid import UUID

from loyalty.members.identifiers import IDENTIFIER_TYPES, IdentifierType, parse_any_ref
from loyalty.members.segments import CHUNK, add_members, remove_members

NAMED: Final = 20
"""So many lines that name nobody are told by their number."""

LONGEST: Final = 300
_ID: Final = ("id", "member", "member_id")


@dataclass(slots=True)
class Loaded:
    """How far a list is.

    Attributes:
        lines: Read so far, empty ones too.
        changed: Members who came in, or went out.
        same: Who was in, or out, already; or stands in the list twice.
        unknown: Lines that name nobody of the program.
        wrong: Lines that cannot be the name of a member.
        problems: The first of the last two, by number; what stands there is not repeated, since
            it may be somebody's email.
        type: What the lines are, as the first one said.
        members: Who was named; kept only where asked for.
    """

    lines: int = 0
    changed: int = 0
    same: int = 0
    unknown: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)
    type: IdentifierType | None = None
    members: set[UUID] = field(default_factory=set)

    def tell(self, number: int, what: str) -> None:
        """Add a problem, unless there are enough."""
        if len(self.problems) < NAMED:
            self.problems.append(f"line {number}: {what}")


def load_list(
    program_id: int,
    segment: str,
    lines: Iterable[str],
    *,
    first_line: int = 1,
    type_: IdentifierType | None = None,
    remove: bool = False,
    keep: bool = False,
) -> Iterator[Loaded]:
    """Put the members of a list into a segment, and tell after each part how far it is.

    Each part is committed by itself. A list that ended half-way is simply given again.

    Args:
        lines: A member each: an id, `card:…`, `external:…`, `email:…` or `phone:…`. Where the first
            one is the word `email`, all others are emails; so with the other words. What follows
            a comma is left out.
        first_line: The number of the first line, where the list comes in pieces.
        type_: What the lines are, where the first piece has said it.
        remove: Take them out instead.
        keep: Remember who was named.
    """
    told = Loaded(type=type_)
    numbered = enumerate(lines, first_line)
    change = remove_members if remove else add_members
    while part := list(islice(numbered, CHUNK)):
        refs = _refs_in(part, told)
        done = change(program_id, segment, [ref for _, ref in refs])
        for place in done.unknown:
            told.tell(refs[place][0], "names nobody of this program")
        told.lines += len(part)
        told.changed += done.changed
        told.same += done.same
        told.unknown += len(done.unknown)
        if keep:
            told.members |= done.members
        yield told


def _refs_in(part: list[tuple[int, str]], told: Loaded) -> list[tuple[int, tuple[str, str]]]:
    """Read the lines of a part; what names no member is counted and told."""
    found = []
    for number, line in part:
        text = line[:LONGEST].strip().lstrip("\ufeff").partition(",")[0].strip().strip('"')
        if not text or (number == 1 and _is_heading(text, told)):
            continue
        try:
            found.append((number, parse_any_ref(text, told.type)))
        except ValueError as wrong:
            told.wrong += 1
            told.tell(number, str(wrong))
    return found


def _is_heading(text: str, told: Loaded) -> bool:
    word = text.lower()
    if word in IDENTIFIER_TYPES:
        told.type = cast(IdentifierType, word)
    return word in IDENTIFIER_TYPES or word in _ID
