"""What waits until it is clear who is meant, in the inbox and of polls, and what lets it go on."""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from crm_sync.inbound.models import InboxMessage, LeftOutPerson

AT_ONCE = 100  # a thousand at once, and PostgreSQL would rather look through all that waits
State = InboxMessage.State


def list_in_doubt(member_ids: Collection[UUID]) -> QuerySet[InboxMessage]:
    """Give the messages that may be about one of these members; only they are in the index."""
    names = [str(member_id) for member_id in member_ids]
    return InboxMessage.objects.exclude(candidates=[]).filter(candidates__has_any_keys=names)


def work_again(member_ids: Collection[UUID]) -> int:
    """Let be worked on again what may be about these members; return how much it is.

    Messages only where nobody has decided yet. Who may be meant stays with them: where that is not
    clear even now, they wait as before.
    """
    count = 0
    for part in _parts(member_ids):
        names = [str(member_id) for member_id in part]
        left_out = LeftOutPerson.objects.filter(members__has_any_keys=names)
        count += _reopen(list_in_doubt(part).filter(member_id=None))
        count += left_out.update(next_at=Now())
    return count


def _parts(member_ids: Collection[UUID]) -> Iterator[list[UUID]]:
    members = list(member_ids)
    for at in range(0, len(members), AT_ONCE):
        yield members[at : at + AT_ONCE]


def work_this_again(message: InboxMessage) -> None:
    """Let one message be worked on again: it was clear before it was written down that it waits."""
    _reopen(InboxMessage.objects.filter(pk=message.pk, member_id=None))


def _reopen(rows: QuerySet[InboxMessage]) -> int:
    return rows.filter(state=State.PARKED).update(
        state=State.PENDING, attempts=0, next_at=Now(), settled_at=None
    )
