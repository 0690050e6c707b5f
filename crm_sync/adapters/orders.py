"""A shop that can be asked for orders, should its webhooks have been lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from crm_sync.adapters.access import Target
from crm_sync.adapters.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """That an order changed: its name and the time, as the vendor writes them."""

    ref: str
    changed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """Some orders that changed.

    Attributes:
        page: From where to read on; empty after the last.
    """

    orders: Sequence[OrderChanged] = ()
    page: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class OrderTold:
    """An order, as a webhook of the vendor would have told of it: topic and JSON."""

    topic: str
    content: str


@runtime_checkable
class ListsOrders(Protocol):
    """A shop that can be asked for orders, should its webhooks have been lost.

    The source whose webhooks these are has the adapter's name for its kind.
    """

    def list_orders(self, target: Target, begin: datetime, end: datetime, page: str) -> OrderPage:
        """List which orders changed in a time, the one first that changed first.

        Args:
            page: What the page before said; empty for the first.
        """
        ...

    def read_order(self, target: Target, ref: str) -> OrderTold | Outcome | None:
        """Read an order as it is now; None if it is gone, the outcome if it cannot be read."""
        ...
