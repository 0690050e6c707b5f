"""What is refused at the address of a source, and what is only found out when it is read."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from crm_sync.adapters import transport
from crm_sync.inbound.sources import change_secret, create_source, remove_source
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Source
from loyalty.members.consent import present_consents
from tests.factories import Till, unique
from tests.integration.crm_sync.senders import Sender, StandardSender, said, standard
from tests.integration.http.caller import code_of
from tests.integration.http.wire import counted_wire


@pytest.fixture
def sender(till: Till) -> StandardSender:
    return standard(till)


def test_an_acknowledgement_takes_three_round_trips_and_waits_for_nobody_else(
    sender: StandardSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In milliseconds: is the connection alive, whose address is it, write it down.

    However it goes with brokers and vendors: none is asked.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody else was asked")

    monkeypatch.setattr(redis.connection.AbstractConnection, "connect", refuse)
    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", refuse)
    monkeypatch.setattr(Celery, "send_task", refuse)
    monkeypatch.setattr(transport.Connections, "exchange", refuse)
    # As in web processes, nobody but the middleware asks whether it is alive.
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", False)
    waits = []
    with counted_wire() as counted:
        for number in range(3):
            before = counted.round_trips
            answer = sender.send("person", {"person": {"id": f"v{number}"}})
            assert (answer.status_code, answer.json()) == (200, {"received": 1, "new": 1})
            waits.append(counted.round_trips - before)
    assert min(waits) == 3
    assert len(sender.messages()) == 3


class TestSignatures:
    def test_what_is_not_signed_with_the_secret_leaves_nothing(
        self, till: Till, sender: StandardSender
    ) -> None:
        raw = json.dumps({"type": "order", "data": {}}).encode()
        good = sender.headers(raw, "msg_1")
        wrong = StandardSender(sender.source, "whsec_" + "QUJD" * 8).headers(raw, "msg_1")
        for headers, body in [
            ({}, raw),
            (wrong, raw),
            (good, raw + b" "),
            ({**good, "webhook-id": "msg_2"}, raw),
            (sender.headers(raw, "msg_1", datetime.now(UTC) - timedelta(minutes=6)), raw),
            (sender.headers(raw, "msg_1", datetime.now(UTC) + timedelta(minutes=6)), raw),
            ({**good, "webhook-timestamp": "now"}, raw),
        ]:
            assert code_of(sender.post(body, headers)) == (401, "signature_invalid")
        assert sender.messages() == []

    def test_both_secrets_are_good_while_one_replaces_the_other(
        self, till: Till, sender: StandardSender, settings: Any
    ) -> None:
        newer = StandardSender(sender.source, change_secret(source_id=sender.source.pk))
        for one in (sender, newer):
            assert one.send("person", {}).status_code == 200
        settings.CRM_SECRET_OVERLAP_HOURS = 0
        assert code_of(sender.send("person", {})) == (401, "signature_invalid")
        assert newer.send("person", {}).status_code == 200

    def test_a_token_where_nobody_can_sign(self, till: Till) -> None:
        source, token = create_source(program_id=till.program.pk, name="Flow", kind="bearer")
        sender = Sender(source, token)
        body = {"id": 7, "type": "person", "data": {"person": {"id": "v1"}}}
        for value in ("", f"Basic {token}", "Bearer wrong", token):
            refused = sender.post(body, {"Authorization": value})
            assert code_of(refused) == (401, "signature_invalid")
        for _ in range(2):
            assert sender.post(body, {"Authorization": f"Bearer {token}"}).status_code == 200
        message = sender.only()
        assert (message.message_id, message.state) == ("7", "ignored")

    def test_a_token_in_a_header_of_the_vendors_own(self, till: Till) -> None:
        source, token = create_source(
            program_id=till.program.pk,
            name="Postscript",
            kind="bearer",
            config={"header": "Postscript-Signature"},
        )
        sender = Sender(source, token)
        for _ in range(2):  # the same words, of somebody who has opted in twice
            sent = sender.post({"event": "opt_in"}, {"Postscript-Signature": token})
            assert sent.status_code == 200
        work_inbox(seconds=30)
        messages = sender.messages()
        assert [message.state for message in messages] == ["kept", "kept"]
        assert all(message.content for message in messages)

    def test_an_opt_out_in_the_words_of_an_earlier_one_counts_again(self, till: Till) -> None:
        source, token = create_source(program_id=till.program.pk, name="Flow", kind="bearer")
        sender, member = Sender(source, token), till.ids[till.member()]
        for given in (False, True, False):
            consents = [{"channel": "email", "given": given}]
            body = {"type": "person", "data": {"person": {"member": member}, "consents": consents}}
            assert sender.post(body, {"Authorization": f"Bearer {token}"}).status_code == 200
            work_inbox(seconds=30)
        assert not present_consents([UUID(member)])["email"].is_given

    def test_ids_that_begin_alike_or_fit_no_column_are_not_one(self, till: Till) -> None:
        source, token = create_source(program_id=till.program.pk, name="Flow", kind="bearer")
        sender = Sender(source, token)
        for id_ in ("x" * 250 + "1", "x" * 250 + "2", "a\x00b", "a\x00b"):
            body = {"id": id_, "type": "note\x00", "data": {}}
            assert sender.post(body, {"Authorization": f"Bearer {token}"}).status_code == 200
        assert len(sender.messages()) == 3


class TestRefusals:
    def test_an_address_that_is_not_there(self, till: Till, sender: StandardSender) -> None:
        assert code_of(Sender(sender.source, "").post(b"{}")) == (401, "signature_invalid")
        remove_source(source_id=sender.source.pk)
        assert code_of(sender.send("person", {})) == (404, "not_found")
        sender.source.key_id = uuid4()
        assert code_of(sender.send("person", {})) == (404, "not_found")

    def test_too_large_packed_or_asked_for(
        self, till: Till, sender: StandardSender, settings: Any
    ) -> None:
        settings.CRM_INBOX_BODY_KB = 16
        assert code_of(sender.post(b" " * 16_385)) == (413, "payload_too_large")
        packed = sender.post(b"{}", {"Content-Encoding": "gzip"})
        assert code_of(packed) == (415, "unsupported_media_type")
        chunked = sender.post(b"{}", {"Transfer-Encoding": "chunked"})
        assert code_of(chunked) == (411, "length_required")
        asked = Client().get(sender.path)
        assert code_of(asked) == (405, "method_not_allowed")
        assert asked.headers["Allow"] == "POST"

    def test_no_json(self, till: Till, sender: StandardSender) -> None:
        for raw in (b"[1]", b"{", b""):
            refused = sender.post(raw, sender.headers(raw, "m"))
            assert code_of(refused) == (400, "malformed_json")
        source, token = create_source(program_id=till.program.pk, name="Flow", kind="bearer")
        refused = Sender(source, token).post(b"\xff", {"Authorization": f"Bearer {token}"})
        assert code_of(refused) == (400, "malformed_json")
        assert sender.messages() == []

    def test_what_cannot_be_read_is_dead_with_the_reason(self, sender: StandardSender) -> None:
        person = {"person": {"id": "1"}}
        for type_, data, note in [
            ("order", person, "revision is a whole number"),
            ("order", {**person, "revision": 1}, "order is an object"),
            ("person", {"person": {}}, "person says who is meant"),
            ("person", {"person": {"name": "Ada"}}, "person has no field name"),
            ("person", {**person, "tier": "gold"}, "data has no field tier"),
            ("person", {**person, "consents": [{}]}, "A consent has channel"),
            ("person", {**person, "segments": "vip"}, "segments is a list"),
            ("person", None, "data is an object"),
        ]:
            assert sender.send(type_, data).status_code == 200
            work_inbox(seconds=30)
            message = sender.messages()[-1]
            assert (message.state, message.note[: len(note)]) == ("dead", note)

    def test_an_order_that_the_engine_refuses_is_dead_with_its_words(
        self, till: Till, sender: StandardSender
    ) -> None:
        card = till.member()
        for change, note in [
            ({"currency": "EUR"}, "currency_mismatch"),
            ({"store": "nowhere"}, "store_unknown"),
            ({"lines": "none"}, "/order/lines"),
            ({"unknown": 1}, "/order/unknown"),
        ]:
            data = said(till, card, unique("o"))
            data["order"] = {**data["order"], **change}
            sender.send("order", data)
            work_inbox(seconds=30)
            message = sender.messages()[-1]
            assert (message.state, message.note[: len(note)]) == ("dead", note)
            assert str(message.member_id) == till.ids[card]


class TestCreateSource:
    def create(self, till: Till, *more: str) -> str:
        output = StringIO()
        named = ("--program", till.program.code, "--name", "Ours", *more)
        call_command("create_source", *named, stdout=output)
        return output.getvalue()

    def test_it_prints_address_and_secret_once(self, till: Till) -> None:
        told = json.loads(self.create(till, "--kind", "standard", "--json"))
        source = Source.objects.get(program=till.program)
        assert told["path"] == f"/inbound/{source.key_id}"
        assert StandardSender(source, told["secret"]).send("person", {}).status_code == 200
        with pytest.raises(CommandError, match="a source named Ours already"):
            self.create(till, "--kind", "bearer")

    def test_a_vendors_own_secret_stands_in_no_history(
        self, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = ("--kind", "hubspot", "--set", "portal=62515")
        with pytest.raises(CommandError, match="Enter the secret"):
            self.create(till, *kind)
        monkeypatch.setenv("SOURCE_SECRET", "of-hubspot")
        for wrong in (("--set", "portal"), ("--connection", "none")):
            with pytest.raises(CommandError):
                self.create(till, *kind, *wrong)
        assert "secret" not in self.create(till, *kind)
