"""People of whom a poll told and who could not be taken in: kept until they can, or a person looks.

The vendor tells of them once; without a row nobody would know whose word of consent was lost. It
may tell of them in parts, so that what is said later adds to what was said before.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from crm_sync import vault
from crm_sync.adapters.access import SecretMissing
from crm_sync.adapters.contract import Change, Consent
from crm_sync.inbound.models import LeftOutPerson
from crm_sync.inbound.signatures import fitting_id
from crm_sync.models import Connection
from loyalty.database.pages import by_key

log = structlog.get_logger(__name__)

FAILED: Final = "It failed here; the worker's log says how."
SEVERAL: Final = (
    "Several members may be meant: the vendor has one's id, and is known here as another. Put "
    "that right there, or at the people in doubt, and try again."
)
UNPROVEN: Final = (
    "The vendor has an email of the member, and nobody has verified that it is theirs. Say so at "
    "the member, or at the people in doubt, and try again."
)

KNOWN_UNPROVEN: Final = (
    "The connection made or found this person by an email or phone number, and nobody has verified "
    "that it is the member's: what is given there, such as consent, is taken in when somebody has "
    "said so at the member, or that it is them."
)


def leave_out(
    connection: Connection, change: Change, note: str, members: Collection[UUID] = ()
) -> None:
    """Keep what was said of somebody who could not be taken in; of each thing the newest word."""
    with transaction.atomic():
        # Whoever else is told of them at this moment adds to it after us.
        locked = LeftOutPerson.objects.select_for_update()
        (said,) = add_earlier([change], _list_kept(locked, connection, [change]))
        LeftOutPerson.objects.bulk_create(
            [
                LeftOutPerson(
                    connection=connection,
                    vendor_id=name_of(change),
                    content=vault.seal({"change": orjson.dumps(asdict(said)).decode()}),
                    members=sorted(str(member) for member in members),
                    note=note,
                    at=Now(),
                )
            ],
            update_conflicts=True,
            unique_fields=["connection", "vendor_id"],
            update_fields=["content", "members", "note", "at"],
        )


def list_left_out(connection: Connection, changes: Sequence[Change]) -> dict[str, LeftOutPerson]:
    """List whom of these people something is kept of, by the names that it is kept under."""
    return _list_kept(LeftOutPerson.objects.all(), connection, changes)


def add_earlier(changes: Iterable[Change], known: Mapping[str, LeftOutPerson]) -> list[Change]:
    """Add to what is said of people what was said before and is not taken in yet.

    To the first word of each: what follows is newer.
    """
    earlier = {name: _read(row) for name, row in known.items()}
    whole = []
    for change in changes:
        name = name_of(change)
        before = earlier.get(name)
        whole.append(change if before is None else _both(change, before))
        earlier[name] = before and _who(before)
    return whole


def settle(known: Iterable[LeftOutPerson]) -> None:
    """Forget what is taken in by now; what was left out anew since it was read stays."""
    for row in known:
        LeftOutPerson.objects.filter(pk=row.pk, content=row.content).delete()


def try_soon(known: Iterable[LeftOutPerson]) -> None:
    """Let be tried again by themselves what is left out of these people."""
    LeftOutPerson.objects.filter(pk__in=[row.pk for row in known]).update(next_at=Now())


def who_was(row: LeftOutPerson) -> Change:
    """Give who was meant, without what was said: that is added from what is kept by then.

    Raises:
        SecretMissing: It was sealed under a key that is not configured any more.
    """
    return _who(read_change(row))


def read_change(row: LeftOutPerson) -> Change:
    """Give what was said.

    Raises:
        SecretMissing: It was sealed under a key that is not configured any more.
    """
    said: Mapping[str, Any] = orjson.loads(vault.unseal(row.content)["change"])
    consents = tuple(Consent(**one) for one in said["consents"])
    segments = said["segments"]
    return Change(
        **{
            **said,
            "consents": consents,
            "segments": None if segments is None else tuple(segments),
        }
    )


def reseal_left_out() -> None:
    """Encrypt what was said anew under the first key.

    Raises:
        SecretMissing: Some was sealed under a key that is not configured any more.
    """
    for row in by_key(LeftOutPerson.objects.all()):
        rows = LeftOutPerson.objects.filter(pk=row.pk, content=row.content)
        rows.update(content=vault.reseal(row.content))


def _list_kept(
    rows: QuerySet[LeftOutPerson], connection: Connection, changes: Iterable[Change]
) -> dict[str, LeftOutPerson]:
    names = {name_of(change) for change in changes}
    return {row.vendor_id: row for row in rows.filter(connection=connection, vendor_id__in=names)}


def _read(row: LeftOutPerson) -> Change | None:
    try:
        return read_change(row)
    except SecretMissing as error:  # nobody can read it any more, and it must hold up nobody
        log.warning("left out person not read", connection=row.connection_id, error=str(error))
        return None


def _who(change: Change) -> Change:
    return replace(change, consents=(), segments=None, fields={})


def _both(change: Change, before: Change) -> Change:
    told = {consent.channel for consent in change.consents}
    return Change(
        vendor_id=change.vendor_id or before.vendor_id,
        member_id=change.member_id or before.member_id,
        email=change.email or before.email,
        consents=(*change.consents, *(one for one in before.consents if one.channel not in told)),
        segments=before.segments if change.segments is None else change.segments,
        fields={**before.fields, **change.fields},
    )


def name_of(change: Change) -> str:
    """Give the name that something is kept under of somebody."""
    return fitting_id(change.vendor_id or change.member_id or change.email)
