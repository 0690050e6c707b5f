"""Writing several contacts at once: everybody locks their rows by member, or two would wait."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from crm_sync.models import Contact


def lock_contacts(*, connection_id: int, member_ids: Collection[UUID]) -> None:
    """Lock these rows until the transaction ends, for whatever is written of them in it."""
    rows = Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids)
    ordered = rows.select_for_update().order_by("member_id")
    list(ordered.values_list("member_id", flat=True))


def forget_what_was_told(*, connection_id: int, member_ids: Collection[UUID]) -> None:
    """Send these members' profiles in any case: nobody knows what the vendor has of them."""
    with transaction.atomic():
        lock_contacts(connection_id=connection_id, member_ids=member_ids)
        rows = Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids)
        rows.update(fingerprint="")
