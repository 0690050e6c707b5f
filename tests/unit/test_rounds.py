"""A walk through a vendor's pages that leads in a circle is found out, and no other one is."""

import pytest

from crm_sync.inbound.rounds import step


def walk(straight: int, circle: int, most: int = 10_000) -> int | None:
    """Walk so many pages and then in a circle; give how many were read until it was noticed."""
    pages, mark = 0, ""
    for place in range(1, most):
        at = place if place <= straight else straight + (place - straight) % max(circle, 1)
        found = step(pages, mark, str(at) if circle else str(place))
        if found is None:
            return place
        pages, mark = found
    return None


@pytest.mark.parametrize("circle", [1, 2, 3, 100])
@pytest.mark.parametrize("straight", [0, 1, 7, 250])
def test_a_circle_is_found_soon(straight: int, circle: int) -> None:
    read = walk(straight, circle)
    assert read is not None
    assert read <= 3 * (straight + circle) + 1


def test_what_goes_on_is_none() -> None:
    assert walk(0, 0) is None
