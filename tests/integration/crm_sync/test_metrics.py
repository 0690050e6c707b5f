"""What Prometheus reads of connections."""

from typing import Any
from uuid import uuid4

from django.db import DatabaseError
from django.test import Client

from crm_sync import metrics
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.crm_sync.senders import Sender


def read(code: str) -> dict[str, float]:
    lines = Client().get("/metrics").content.decode().splitlines()
    mine = [line for line in lines if f'program="{code}"' in line]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in mine}


def test_lag_queue_and_attempts_by_outcome(outbox: Outbox, receiver: Receiver) -> None:
    receiver.respond = lambda call: Answer(422 if call.event["sequence"] == 1 else 500)
    outbox.connect(receiver.url, name="Shop")
    member = uuid4()
    for _ in range(3):
        outbox.write(member)
    drain()
    found = read(outbox.program.code)
    labels = f'{{adapter="webhook",connection="Shop",program="{outbox.program.code}"}}'
    assert found.pop(f"loyalty_crm_lag_seconds{labels}") > 0
    assert {name: value for name, value in found.items() if name.endswith(labels)} == {
        f"loyalty_crm_up{labels}": 0,
        f"loyalty_crm_waiting_events{labels}": 2,
        f"loyalty_crm_dead_events{labels}": 1,
        f"loyalty_crm_events_behind{labels}": 0,
        f"loyalty_crm_waiting_profiles{labels}": 0,
        f"loyalty_crm_drifted_profiles{labels}": 0,
    }
    outcomes = {name.partition('outcome="')[2].partition('"')[0]: n for name, n in found.items()}
    assert (outcomes["permanent"], outcomes["retryable"]) == (1, 1)


def test_what_waits_in_the_inbox(outbox: Outbox) -> None:
    source, token = create_source(program_id=outbox.program.pk, name="Flow", kind="bearer")
    sender = Sender(source, token)
    for number, type_ in enumerate(("order", "weather", "weather")):
        said = {"id": number, "type": type_}
        assert sender.post(said, {"Authorization": f"Bearer {token}"}).status_code == 200
        work_inbox(seconds=0 if number else 30)
    sender.post({"id": "waits"}, {"Authorization": f"Bearer {token}"})
    labels = f'{{kind="bearer",program="{outbox.program.code}",source="Flow"}}'
    found = read(outbox.program.code)
    assert found[f"loyalty_inbox_waiting{labels}"] == 1
    assert found[f"loyalty_inbox_lag_seconds{labels}"] > 0
    assert found[f"loyalty_inbox_for_people{labels}"] == 1


def test_they_are_there_without_a_database(outbox: Outbox, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(metrics, "list_health", fail)
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert b"loyalty_crm" not in answer.content
