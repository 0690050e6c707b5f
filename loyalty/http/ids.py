"""Public ids of a member's rows: they carry the member, and are opaque to callers.

An id that comes without its member (a redemption in a path) must still lead straight to the
member's rows, on one server and on a distributed one.
"""

import re
from uuid import UUID

_PATTERN = re.compile(r"([a-z]{3})_([0-9a-f]{32})([1-9][0-9]{0,17})\Z")


def encode_id(prefix: str, member_id: UUID, number: int) -> str:
    """Write the id of the member's row with that number; `prefix` says of which table."""
    return f"{prefix}_{member_id.hex}{number}"


def decode_id(prefix: str, text: str) -> tuple[UUID, int] | None:
    """Read an id back; None if it is not one of ours, which callers answer as not found."""
    match = _PATTERN.match(text)
    if match is None or match[1] != prefix:
        return None
    return UUID(hex=match[2]), int(match[3])
