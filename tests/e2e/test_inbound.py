"""From a vendor's request to a member's points, through real processes."""

import json
import time
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from tests.factories import line, program_document, unique
from tests.stack import Stack

PATIENCE_SECONDS = 120.0
# In one process: each start of manage.py costs more than all the rest.
SET_UP = """
import json, sys
from crm_sync.inbound.sources import create_source
from loyalty.http.auth import create_api_key
from loyalty.programs.services import apply_document
program = apply_document(json.load(sys.stdin), actor="tests")
source, secret = create_source(program_id=program.pk, name="Shop", kind="standard")
scopes = ("members:read", "members:write")
key = create_api_key(program_id=program.pk, scopes=scopes, name="tests")[1]
print(json.dumps({"path": f"/inbound/{source.key_id}", "secret": secret, "key": key}))
"""


def test_a_signed_order_earns_without_anybody_waiting_for_it(live_stack: Stack) -> None:
    ref, card = unique("o"), unique("c")
    told = live_stack.manage("shell", "-c", SET_UP, stdin=json.dumps(program_document()))
    made = json.loads(told.splitlines()[-1])
    now = datetime.now(UTC)
    order = {
        "channel": "web",
        "occurred_at": (now - timedelta(hours=1)).isoformat(),
        "currency": "USD",
        "lines": [line("1", "12.00")],
    }
    person = {"id": "c-1", "external_ids": [card]}
    data = {"person": person, "ref": ref, "revision": 1, "order": order}
    raw = json.dumps({"id": "msg_1", "type": "order", "data": data})
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(made["secret"]).sign("msg_1", now, raw),
        "content-type": "application/json",
    }
    with live_stack.client(made["key"]) as api:
        enrolment = {"identifiers": [{"type": "external", "value": card}]}
        key = {"Idempotency-Key": unique("k")}
        assert api.post("/v1/members", json=enrolment, headers=key).status_code == 201
        with live_stack.client() as shop:
            for new in (1, 0):
                answer = shop.post(made["path"], content=raw, headers=headers)
                assert (answer.status_code, answer.json()["new"]) == (200, new)
            tampered = shop.post(made["path"], content=raw + " ", headers=headers)
            assert tampered.status_code == 401
        balance, until = 0, time.monotonic() + PATIENCE_SECONDS
        while balance == 0 and time.monotonic() < until:
            time.sleep(0.2)
            balance = api.get(f"/v1/members/external:{card}/balance").json()["available"]
        assert balance == 12
