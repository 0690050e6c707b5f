"""Take a request in: verify, write its messages down once, and be done."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection as database
from django.utils import timezone

from crm_sync import vault
from crm_sync.inbound.contract import Arrival, Item
from crm_sync.inbound.models import Source
from crm_sync.inbound.signatures import fitting_id
from crm_sync.inbound.sources import kind_of, valid_secrets

TOPIC_CHARACTERS: Final = 100
_INSERT = """
INSERT INTO crm_sync_inboxmessage (source_id, message_id, topic, content, state, attempts, next_at,
    person, candidates, note, said_hash, received_at)
SELECT %(source)s, item.message_id, item.topic, item.content, 'pending', 0, clock_timestamp(), '',
    '[]', '', item.said_hash, clock_timestamp()
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(contents)s::text[], %(hashes)s::text[])
    AS item (message_id, topic, content, said_hash)
ON CONFLICT (source_id, message_id) DO NOTHING
"""


def find_source(key_id: UUID) -> Source | None:
    """Find the source of an address; None if it was removed, or is of a kind that is gone."""
    source = Source.objects.filter(key_id=key_id, removed_at=None).first()
    return source if source is not None and kind_of(source) is not None else None


def receive(source: Source, arrival: Arrival) -> tuple[int, int]:
    """Keep what a source has sent; return how many messages it was, and how many were new.

    Raises:
        SignatureRefused: It was not sent by whoever has the secret, or not just now.
        Unreadable: It is none of this vendor's requests.
    """
    kind = kind_of(source)
    assert kind is not None
    now = timezone.now()
    kind.verify(arrival, valid_secrets(source, at=now), source.config, now)
    items = kind.split(arrival)
    return len(items), keep(source, items)


def keep(source: Source, items: Sequence[Item]) -> int:
    """Write messages into the inbox; return how many were not there yet."""
    values: dict[str, Any] = {
        "source": source.pk,
        "ids": [fitting_id(item.message_id) for item in items],
        "topics": [item.topic.replace("\x00", "")[:TOPIC_CHARACTERS] for item in items],
        "hashes": [item.said_hash for item in items],
        "contents": [vault.seal({"content": item.content}) for item in items],
    }
    with database.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return int(cursor.rowcount)
