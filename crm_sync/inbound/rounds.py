"""Noticing that a vendor leads in a circle, by two columns of a walk's row. Pure."""

from typing import Final

from crm_sync.adapters.outcomes import Outcome, Permanent

LED_ROUND: Final[Outcome] = Permanent(
    error="The vendor gave a page again that it had given before: it was read to there, and is "
    "begun anew later."
)


def step(pages: int, mark: str, place: str) -> tuple[int, str] | None:
    """Count a page, and say what to remember of it; None if the walk has been at its place.

    One place is remembered, a new one after 1, 2, 4, 8, … pages (Brent's way to find a cycle): so
    a circle of any length is found before it was walked three times, however long the walk.

    Args:
        pages: That were read before.
        mark: The place that is remembered.
        place: Where the vendor says to read on.
    """
    if place == mark:
        return None
    pages += 1
    is_power_of_two = pages & (pages - 1) == 0
    return pages, place if is_power_of_two else mark
