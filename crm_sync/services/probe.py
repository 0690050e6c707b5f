"""Trying a connection out, now, beside all lanes."""

from uuid import uuid4

from django.utils import timezone

from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Outcome
from crm_sync.models import Connection
from crm_sync.services.calls import adapter_of, call_for_outcomes, no_adapter

TEST_EVENT = "connection.test"


def probe(connection: Connection) -> Outcome:
    """Find out whether a connection works; webhooks are sent an event that means nothing.

    It is in no lane and no feed; it takes up to CRM_TOTAL_SECONDS, so no transaction may be open.
    """
    correlation_id = uuid4()
    now = timezone.now().isoformat()
    body = {
        "id": f"evt_test_{correlation_id.hex}",
        "type": TEST_EVENT,
        "version": 1,
        "member": None,
        "sequence": 0,
        "occurred_at": now,
        "recorded_at": now,
        "cause": {"kind": "test"},
        "balances": {},
        "data": {"connection": connection.name},
    }
    outgoing = Outgoing(event_id=str(body["id"]), body=body, correlation_id=correlation_id)
    adapter = adapter_of(connection)
    if adapter is None:
        return no_adapter(connection)
    return call_for_outcomes(connection, lambda target: [adapter.probe(target, outgoing)])[0]
