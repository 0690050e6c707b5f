"""A vendor that can be asked who is in one of its segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Change
from crm_sync.adapters.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPage:
    """Some of the people in a segment.

    Attributes:
        people: By what they may be found here; nothing else is taken in of them.
        page: From where to read on; empty after the last.
    """

    people: Sequence[Change] = ()
    page: str = ""
    outcome: Outcome | None = None


@runtime_checkable
class ListsSegments(Protocol):
    """A destination that can be asked who is in one of its segments.

    Attributes:
        segment_pattern: What the name of a segment must match, as the vendor writes it.
        segment_hint: The same in words.
    """

    segment_pattern: str
    segment_hint: str

    def list_segment(self, target: Target, segment: str, page: str) -> SegmentPage:
        """List who is in a segment.

        Args:
            page: What the page before said; empty for the first.
        """
        ...
