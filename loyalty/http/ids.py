"""Public ids of a member's rows: they carry the member, and are opaque to callers.

An id that comes without its member (a redemption in a path) must still lead straight to the
member's rows, on one server and on a distributed one.
"""

import re
from uuid import UUID

_PATTERN = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,17})\Z")


def public_id(member_id: UUID, number: int) -> str:
    """Write the id of the member's row with that number."""
    return f"{member_id.hex}-{number}"


def parse_public_id(text: str) -> tuple[UUID, int] | None:
    """Read an id back; None if it is not one of ours, which callers answer as not found."""
    match = _PATTERN.match(text)
    return (UUID(hex=match[1]), int(match[2])) if match else None
