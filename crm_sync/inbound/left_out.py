"""People of whom a poll told and who could not be taken in: kept until they can, or a person looks.

The vendor tells of them once; without a row nobody would know whose word of consent was lost.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

import orjson
from django.db.models.functions import Now

from crm_sync import vault
from crm_sync.adapters.contract import Change, Consent
from crm_sync.inbound.models import LeftOutPerson
from crm_sync.inbound.signatures import fitting_id
from crm_sync.models import Connection

FAILED: Final = "It failed here; the worker's log says how."
SEVERAL: Final = (
    "Several members may be meant: the vendor has one's id, and is known here as another. Put "
    "that right there, or at the people in doubt, and try again."
)


def leave_out(
    connection: Connection, change: Change, note: str, members: Collection[UUID] = ()
) -> None:
    """Keep what was said of somebody who could not be taken in; the newest word only."""
    LeftOutPerson.objects.bulk_create(
        [
            LeftOutPerson(
                connection=connection,
                vendor_id=_name(change),
                content=vault.seal({"change": orjson.dumps(asdict(change)).decode()}),
                members=sorted(str(member) for member in members),
                note=note,
                at=Now(),
            )
        ],
        update_conflicts=True,
        unique_fields=["connection", "vendor_id"],
        update_fields=["content", "members", "note", "at"],
    )


def are_settled(
    connection: Connection, changes: Sequence[Change], *, but: Sequence[Change]
) -> None:
    """Forget that these were left out: something newer was said of them, and is taken in."""
    names = {_name(change) for change in changes} - {_name(change) for change in but}
    LeftOutPerson.objects.filter(connection=connection, vendor_id__in=names).delete()


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
    for row in LeftOutPerson.objects.iterator(chunk_size=200):
        rows = LeftOutPerson.objects.filter(pk=row.pk, content=row.content)
        rows.update(content=vault.reseal(row.content))


def _name(change: Change) -> str:
    return fitting_id(change.vendor_id or change.member_id or change.email)
