"""A person asks to be forgotten: nothing that names them is left, and the books are as before."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from crm_sync.models import Attempt, Connection
from crm_sync.services.connections import create_connection, disable_connection, remove_connection
from crm_sync.tasks import prune_old_rows
from loyalty.ledger.audit import audit
from loyalty.nightly.services import SETTLE, OneMember
from tests.factories import Clock, Till, balance_of, open_till, rows, unique
from tests.integration.crm_sync.outbox import drain, forget
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.http.caller import Caller, body_of, code_of, order_body
from tests.people import erase, merge

PERSON = {
    "first_name": "Zephyrine",
    "last_name": "Quibbleworth",
    "birth_date": "1931-07-23",
    "language": "cy",
}


def enrolment(card: str) -> dict[str, Any]:
    named = {
        "card": card,
        "email": f"Zeph.{card}@Quibble.example",
        "phone": f"+44 7700 {int(card[1:], 16) % 10**6:06}",
        "external": f"shop-{card}",
    }
    return {
        "identifiers": [{"type": type_, "value": value} for type_, value in named.items()],
        "profile": PERSON,
        "attributes": {"nickname": "Zephyquib"},
    }


def traces(*words: str) -> list[str]:
    """Look for words in every row of every table."""
    found = []
    tables = rows(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_type = 'BASE TABLE'"
        " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    patterns = [f"%{word}%" for word in words]
    for schema, table in tables:
        query = f'SELECT t::text FROM "{schema}"."{table}" AS t WHERE t::text ILIKE ANY(%s)'
        found += [f"{table}: {hit[0][:200]}" for hit in rows(query, patterns)]
    return found


def test_a_person_is_erased_while_their_events_are_queued():
    """Scenario 52: a dump of all tables has no trace, the totals stay, and the card is free."""
    till = open_till()
    api, card = Caller(till.program.pk), unique("c")
    body, key = enrolment(card), unique("k")
    new = body_of(api.post("/v1/members", body, key=key))
    path = f"/v1/members/{new['id']}"
    changed = {"Idempotency-Key": unique("k")}
    api.call("PATCH", path, {"profile": {"last_name": "Quibbleworth-Ngo"}}, **changed)
    api.post(f"{path}/identifiers", {"type": "card", "value": f"{card}-2"})
    order = {"member": f"card:{card}", "order": order_body()}
    assert api.post("/v1/earn", order).status_code == 201
    words = [item["value"] for item in new["identifiers"]]
    words += ["Zephyrine", "Quibbleworth", "1931-07-23", "Zephyquib"]
    assert len(traces(*words)) > 6
    before, totals = balance_of(new["id"]), totals_of(till)

    erased = api.post(f"{path}/erase")

    assert erased.status_code == 200
    assert traces(*words) == []
    assert balance_of(new["id"]) == before
    assert totals_of(till) == totals
    assert [found for found in audit() if found.rows] == []
    events = rows("SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence",
                  new["id"])  # fmt: skip
    assert events[-1] == ("member.erased",)
    # Whoever asks again learns that it is over; a till that repeats itself enrols nobody.
    assert code_of(api.post("/v1/members", body, key=key)) == (410, "member_erased")
    assert code_of(api.post(f"{path}/erase")) == (409, "member_not_active")
    gone = body_of(api.get(path))
    assert (gone["status"], gone["identifiers"], gone["attributes"]) == ("closed", [], {})
    assert api.post("/v1/earn", {**order, "order": order_body()}).status_code == 404
    again = api.post("/v1/members", body)
    assert again.status_code == 201
    assert body_of(again)["id"] != new["id"]
    assert erase(till, card).status == 200  # so that other tests find no trace either


def test_no_connection_keeps_what_was_said_of_an_erased_person(settings: Any):
    """Scenario 52: not what waited, nor a connection that is disabled or removed by then."""
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    till, word = open_till(), unique("Zephyrine")
    card, other = till.member(5), till.member(5)
    with Receiver() as receiver:
        receiver.respond = lambda call: Answer(200, body=f"thank you {word}".encode())
        enabled, disabled, removed = (connect(till, receiver.url) for _ in range(3))
        drain()
        told = Attempt.objects.exclude(answer="")
        assert told.filter(delivery__connection=disabled).exists()
        disable_connection(connection_id=disabled.pk, reason="later")
        remove_connection(connection_id=removed.pk, reason="for good")
        till.earn(card, unique("o"), "20.00")
        receiver.respond = lambda call: Answer(422 if call.event["sequence"] % 2 else 200,
                                               body=word.encode())  # fmt: skip
        # Queued before the erasure and sent after it.
        assert erase(till, card).status == 200
        drain()
        till.adjust(other, 1)
        drain()
    theirs = told.filter(delivery__member_id=till.ids[card])
    assert not theirs.filter(delivery__connection=enabled).exists()
    assert theirs.filter(delivery__connection__in=(disabled, removed)).exists()

    prune_old_rows()

    assert not theirs.exists()
    assert told.filter(delivery__member_id=till.ids[other], delivery__connection=enabled).exists()
    forget(till.program)
    assert traces(word) == []


def connect(till: Till, url: str) -> Connection:
    return create_connection(
        program_id=till.program.pk,
        name=unique("c"),
        adapter="webhook",
        config={"url": url},
        from_beginning=True,
    )


def totals_of(till: Till) -> Any:
    return rows("SELECT sum(granted), sum(available), sum(redeemed), count(*) FROM loyalty_lot"
                " WHERE program_id = %s", till.program.pk)  # fmt: skip


def test_who_was_merged_into_them_is_erased_too():
    till = open_till()
    api, card = Caller(till.program.pk), unique("c")
    old = body_of(api.post("/v1/members", enrolment(card)))
    new = till.member()
    merge(till, card, new)
    reply = erase(till, card)
    assert (reply.erased, reply.body["with"]) == (till.ids[new], [old["id"]])
    assert traces(card) == []
    told = rows("SELECT count(*) FROM loyalty_outboxevent WHERE type = 'member.erased'"
                " AND member_id IN (%s, %s)", old["id"], till.ids[new])  # fmt: skip
    assert told == [(2,)]


def test_a_restored_backup_is_brought_to_forget_again(tmp_path: Path):
    """Scenario 52: the list that is kept outside says whom, to this installation only."""
    till = open_till()
    card, other = till.member(10), till.member(5)
    erase(till, card)
    listed = io.StringIO()
    call_command("list_erasures", stdout=listed)
    assert till.ids[card] not in listed.getvalue()
    (tmp_path / "erasures").write_text(listed.getvalue())
    restore(till.ids[card], card, till.program.pk)
    assert traces(card)

    said = io.StringIO()
    call_command("reapply_erasures", str(tmp_path / "erasures"), stdout=said)

    assert "1 erased again" in said.getvalue()
    assert traces(card) == []
    assert till.redeem(other, points=5).status == 201
    (tmp_path / "nothing").write_text("no list")
    with pytest.raises(CommandError, match="list_erasures"):
        call_command("reapply_erasures", str(tmp_path / "nothing"))


def restore(member: str, card: str, program: int) -> None:
    """Put back what an older backup would have."""
    rows("DELETE FROM loyalty_erasure WHERE member_id = %s", member)
    rows("UPDATE loyalty_memberstate SET status = 'active' WHERE member_id = %s", member)
    rows("UPDATE loyalty_member SET first_name = %s WHERE id = %s", card, member)
    rows("INSERT INTO loyalty_identifier (member_id, number, program_id, type, value, verified_by,"
         " created_at) VALUES (%s, 1, %s, 'card', %s, '', now())",
         member, program, card)  # fmt: skip


def test_what_an_erased_member_has_left_expires_as_it_always_would(clock: Clock):
    till = open_till()
    card = till.member()
    till.adjust(card, 30, ends=clock.now + timedelta(days=2))
    erase(till, card)
    clock.move(timedelta(days=3))
    payload = OneMember(("id", till.ids[card]))
    till.send(till.command(SETTLE, payload, "settle"))
    assert balance_of(till.ids[card])["available"] == 0


def test_the_export_has_everything():
    till = open_till()
    api, card = Caller(till.program.pk), unique("c")
    old = body_of(api.post("/v1/members", enrolment(card)))
    till.earn(card, "export-1", "20.00")
    till.redeem(card, points=5)
    new = till.member(3)
    merge(till, card, new)
    document = body_of(api.get(f"/v1/members/{old['id']}/export"))
    assert document["member"]["id"] == till.ids[new]
    assert document["merged_members"][0]["last_name"] == "Quibbleworth"
    assert {item["value"] for item in document["identifiers"]} >= {card, f"shop-{card}"}
    assert [order["ref"] for order in document["orders"]] == ["export-1"]
    kinds = [row["kind"] for row in document["ledger_transactions"]]
    assert sorted(kinds) == ["adjust", "earn", "merge", "merge", "redeem"]
    told = rows("SELECT count(*) FROM loyalty_outboxevent WHERE member_id IN (%s, %s)",
                old["id"], till.ids[new])  # fmt: skip
    assert told == [(len(document["events"]),)]
    assert erase(till, card).status == 200
