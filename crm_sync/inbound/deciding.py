"""What a person decides of what waits: try again, settled by hand, this member is meant."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from crm_sync.inbound import polling
from crm_sync.inbound.left_out import who_was
from crm_sync.inbound.matching import learn
from crm_sync.inbound.models import InboxMessage, LeftOutPerson
from crm_sync.models import Contact
from crm_sync.services.people import resolve_match
from loyalty.members.selectors import list_present

State = InboxMessage.State
_AGAIN = (State.DEAD, State.PARKED, State.KEPT)


def try_again(*, message_ids: Collection[int]) -> int:
    """Let messages be worked on as if they had just come in; return how many.

    Those that are done have nothing left to be worked on.
    """
    rows = InboxMessage.objects.filter(pk__in=message_ids, state__in=_AGAIN)
    return _reopen(rows.exclude(content=""))


def settle_by_hand(*, message_ids: Collection[int], by: str) -> int:
    """Take a person's word that nothing is left to do; what was said is deleted."""
    rows = InboxMessage.objects.filter(pk__in=message_ids, state__in=_AGAIN)
    return rows.update(
        state=State.DONE,
        content="",
        candidates=[],
        note=f"Settled by {by}."[:500],
        settled_at=Now(),
    )


def choose_member(*, message_id: int, member_id: UUID) -> int:
    """Take a person's word for who is meant, here and in all that the source says of them.

    Returns:
        How many messages go on.
    """
    with transaction.atomic():
        message = InboxMessage.objects.select_for_update().get(pk=message_id)
        same = Q(pk=message_id)
        if message.person:
            learn(message.source, message.person, member_id, "a person")
            same |= Q(source=message.source, person=message.person)
        # Also those that are worked on again at this moment: what is found there is fenced off.
        open_ = (State.PARKED, State.PENDING)
        waiting = InboxMessage.objects.filter(same, state__in=open_).exclude(candidates=[])
        InboxMessage.objects.filter(pk=message_id).update(member_id=member_id)
        return _reopen(waiting)


def say_they_are(*, left_out_ids: Collection[int]) -> int:
    """Take a person's word that people who were left out are the only members whom they may be.

    Returns:
        How many are left out no more.

    Raises:
        SecretMissing: What was said was sealed under a key that is not configured any more.
    """
    rows = LeftOutPerson.objects.filter(pk__in=left_out_ids)
    for row in rows.select_related("connection"):
        vendor_id = who_was(row).vendor_id
        if vendor_id and len(row.members) == 1:
            for member_id in _known_as(row, vendor_id):
                resolve_match(
                    connection_id=row.connection_id, member_id=member_id, vendor_id=vendor_id
                )
    return polling.try_again(left_out_ids=left_out_ids)


def _known_as(row: LeftOutPerson, vendor_id: str) -> list[UUID]:
    """List as whom the vendor's person is known: the member, or who was merged into them."""
    (member_id,) = map(UUID, row.members)
    contacts = Contact.objects.filter(connection_id=row.connection_id, vendor_id=vendor_id)
    known = list(contacts.values_list("member_id", flat=True))
    present = list_present(program_id=row.connection.program_id, member_ids=known)
    return [one for one in known if present.get(one) == member_id] or [member_id]


def _reopen(rows: QuerySet[InboxMessage]) -> int:
    return rows.update(
        state=State.PENDING, attempts=0, next_at=Now(), settled_at=None, candidates=[], note=""
    )
