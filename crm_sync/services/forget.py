"""Forgetting who was erased: who they were at a vendor, and what it said about them.

Vendors answer with names. An enabled connection forgets when it is told of the erasure; what lies
at one that is disabled or removed, or was answered meanwhile, is found at night.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from django.db import connection as database
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from crm_sync.adapters.outcomes import Configuration, Outcome
from crm_sync.models import (
    Attempt,
    Comparison,
    Connection,
    Contact,
    Delivery,
    Drift,
    Lane,
    LeftOutPerson,
    OrderCursor,
    PollCursor,
    PolledSegment,
    Relay,
)
from crm_sync.rules import SAID_LAST
from crm_sync.services.contacts import lock_contacts
from loyalty.members.selectors import list_erased, walk_erased

NOT_KEPT: Final = "What was said is not kept: the member was erased."
# What is wrong with the connection itself names nobody, and a person has to read it.
_NAMES_NOBODY: Final = Attempt.Outcome.CONFIGURATION
_SAID: Final = (
    Q(status_code__isnull=False) & ~Q(error__in=("", NOT_KEPT)) & ~Q(outcome=_NAMES_NOBODY)
)

# A job's list has a thousand members and more: it is looked through where it is.
_FORGET_WORDS_OF_JOBS: Final = """
UPDATE crm_sync_bulkjob SET last_error = %(not_kept)s
WHERE connection_id = %(connection)s AND last_error NOT IN ('', %(not_kept)s)
  AND EXISTS (SELECT FROM jsonb_array_elements(items) AS item
              WHERE item ->> 0 = ANY(%(members)s))
"""


def keep_nothing_of_erased(said: Sequence[tuple[UUID, Outcome]]) -> list[Outcome]:
    """Give outcomes as they may be written down: without words about members who are erased."""
    asked = {member_id for member_id, one in said if one.answer or one.error}
    erased = list_erased(asked) if asked else set()
    return [_without_words(one) if member_id in erased else one for member_id, one in said]


def forget_answers(*, connection_id: int, member_ids: Collection[UUID]) -> None:
    """Delete what a destination said about these members, of events and of profiles."""
    theirs = {"connection_id": connection_id, "member_id__in": member_ids}
    sent = Delivery.objects.filter(**theirs)
    refused = sent.filter(attempt_log__in=Attempt.objects.filter(_SAID)).exclude(last_error="")
    for pk in list(refused.values_list("pk", flat=True)):
        # One by one: whoever settles several at this moment locks them in an order of their own.
        Delivery.objects.filter(pk=pk).update(last_error=NOT_KEPT)
    of_events = Attempt.objects.filter(delivery__in=sent)
    for attempts in (of_events, Attempt.objects.filter(delivery__isnull=True, **theirs)):
        attempts.filter(_SAID).update(error=NOT_KEPT)
        attempts.exclude(answer="").update(answer="")
    _forget_words_of_jobs(connection_id, member_ids)


def forget_words_of_calls(*, connection_id: int) -> None:
    """Delete what a destination said of calls about many at once: nobody knows whom it named.

    A call that fails again says it again.
    """
    for said in (
        Relay.objects.filter(pk=connection_id),
        Comparison.objects.filter(connection_id=connection_id),
        PollCursor.objects.filter(connection_id=connection_id),
        PolledSegment.objects.filter(connection_id=connection_id),
        OrderCursor.objects.filter(source__connection_id=connection_id),
    ):
        said.exclude(last_error="").update(last_error=NOT_KEPT)
    connection = Connection.objects.filter(pk=connection_id)
    for reason in connection.values_list("disabled_reason", flat=True):
        ours, said_last, _ = reason.partition(SAID_LAST)
        if said_last:
            connection.update(disabled_reason=f"{ours}{SAID_LAST}{NOT_KEPT}")


def forget_contacts(*, connection_id: int, member_ids: Collection[UUID]) -> None:
    """Forget who these members were at a vendor, and what became of their profiles."""
    known = Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids)
    names = list(known.exclude(vendor_id="").values_list("vendor_id", flat=True))
    LeftOutPerson.objects.filter(connection_id=connection_id, vendor_id__in=names).delete()
    with transaction.atomic():
        lock_contacts(connection_id=connection_id, member_ids=member_ids)
        known.delete()
    for model in (Attempt, Drift):
        model.objects.filter(connection_id=connection_id, member_id__in=member_ids).delete()


def forget_left_out(member_ids: Collection[UUID]) -> None:
    """Forget what is kept of people who may be one of these members and were not taken in."""
    names = [str(member_id) for member_id in member_ids]
    LeftOutPerson.objects.filter(members__has_any_keys=names).delete()


def forget_erased_everywhere() -> int:
    """Forget all who were ever erased, at all connections; return how many people that are.

    Whom an enabled connection has still something to send about stays known there until it is sent:
    the vendor is to learn that they are erased.
    """
    connections = list(Connection.objects.values_list("pk", "is_enabled"))
    count = 0
    for members in walk_erased():
        count += len(members)
        forget_left_out(members)
        for connection_id, is_enabled in connections:
            forget_answers(connection_id=connection_id, member_ids=members)
            if not is_enabled:
                forget_words_of_calls(connection_id=connection_id)
            gone = _list_idle(connection_id, members) if is_enabled else members
            forget_contacts(connection_id=connection_id, member_ids=gone)
    return count


def _forget_words_of_jobs(connection_id: int, member_ids: Collection[UUID]) -> None:
    """Delete what was said of jobs that these members were in: it may be about one of them."""
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": [str(member_id) for member_id in member_ids],
        "not_kept": NOT_KEPT,
    }
    with database.cursor() as cursor:
        cursor.execute(_FORGET_WORDS_OF_JOBS, values)


def _list_idle(connection_id: int, member_ids: Collection[UUID]) -> list[UUID]:
    lane = Lane.objects.filter(connection_id=connection_id, member_id=OuterRef("member_id"))
    known = Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids)
    return list(known.exclude(Exists(lane)).values_list("member_id", flat=True))


def _without_words(outcome: Outcome) -> Outcome:
    says = outcome.status_code is not None and not isinstance(outcome, Configuration)
    error = NOT_KEPT if outcome.error and says else outcome.error
    return replace(outcome, answer="", error=error)
