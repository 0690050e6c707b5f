"""Put together what a source says of an order, in whatever order it arrives.

The newest state of the order, and every refund that was ever told, are a set that only grows; each
change of it has a higher revision. So the engine may be told of them in any order, and twice.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from crm_sync.inbound.contract import OrderSaid, PurchaseSaid, RefundSaid, Who
from crm_sync.inbound.models import KnownOrder, Source


def remember(source: Source, said: PurchaseSaid | RefundSaid) -> KnownOrder:
    """Add what was said to what is known of the order, and return that."""
    KnownOrder.objects.bulk_create(
        [KnownOrder(source=source, ref=said.ref, heard_at=Now())], ignore_conflicts=True
    )
    with transaction.atomic():
        known = KnownOrder.objects.select_for_update().get(source=source, ref=said.ref)
        before = (known.changed_at, known.order, dict(known.refunds), known.removed)
        _add(known, said)
        if (known.changed_at, known.order, known.refunds, known.removed) != before:
            known.revision = max(known.revision + 1, known.changed_at)
            known.heard_at = Now()
            known.save()
    return known


def order_of(known: KnownOrder, who: Who) -> OrderSaid:
    """Say what the order is now."""
    assert known.order is not None
    lines = [_with_returned(known, line) for line in known.order["lines"]]
    return OrderSaid(
        who=who, ref=known.ref, revision=known.revision, order={**known.order, "lines": lines}
    )


def settle(known: KnownOrder, member_id: UUID) -> None:
    """Keep whose order it is."""
    row = KnownOrder.objects.filter(source_id=known.source_id, ref=known.ref)
    row.update(member_id=member_id)


def forget_order(known: KnownOrder) -> None:
    """Delete what is known of a stranger's order, unless more was said of it meanwhile.

    Not of one that waits for a person: refunds that were told before it stand nowhere else.
    """
    row = KnownOrder.objects.filter(source_id=known.source_id, ref=known.ref)
    row.filter(member_id=None, revision=known.revision).delete()


def _add(known: KnownOrder, said: PurchaseSaid | RefundSaid) -> None:
    if isinstance(said, RefundSaid):
        known.refunds = {**known.refunds, said.refund_id: dict(said.returned)}
        return
    refunds = {name: dict(returned) for name, returned in said.refunds.items()}
    known.refunds = {**known.refunds, **refunds}
    if said.changed_at >= known.changed_at:
        known.changed_at = said.changed_at
        known.order, known.removed = dict(said.order), dict(said.removed)


def _with_returned(known: KnownOrder, line: Mapping[str, Any]) -> dict[str, Any]:
    """Say how much of a line came back: by its refunds, or else because it is not wanted."""
    name = line["line"]
    refunded = sum(returned.get(name, 0) for returned in known.refunds.values())
    back = min(max(refunded, known.removed.get(name, 0)), int(line["quantity"]))
    return {**line, "returned": {"quantity": str(back)}} if back > 0 else dict(line)
