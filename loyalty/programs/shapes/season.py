"""First and last day of what is not for ever."""

from typing import Protocol


class Seasonal(Protocol):
    """What may begin and end on a day."""

    from_: str | None
    to: str | None


def check_season(entry: Seasonal) -> None:
    """Refuse what ends before it starts.

    Raises:
        ValueError: With both days.
    """
    if entry.from_ and entry.to and entry.from_ > entry.to:
        raise ValueError(f"ends on {entry.to}, before it starts on {entry.from_}")
