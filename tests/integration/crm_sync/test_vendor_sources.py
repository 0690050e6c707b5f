"""HubSpot, Klaviyo and Segment tell of people; signatures are those of others' code."""

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from hubspot.utils.signature import Signature

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Connection, FieldMapping, Relay, Source, SourcePerson
from loyalty.members.consent import list_consents
from loyalty.members.models import Member, SegmentMember
from tests.factories import Till
from tests.integration.crm_sync.senders import Sender, hmac_hex
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.http.caller import code_of

SECRET = "0c7d-tests-only-1b6f"
NOON = 1_763_812_800_000  # 2026-11-22, in milliseconds


def source(till: Till, kind: str, **more: Any) -> Sender:
    made, _ = create_source(program_id=till.program.pk, name=kind, kind=kind, secret=SECRET, **more)
    return Sender(made, SECRET)


def knows(sender: Sender, till: Till, vendor_id: str) -> UUID:
    member = UUID(till.ids[till.member()])
    SourcePerson.objects.create(
        source=sender.source, vendor_id=vendor_id, member_id=member, matched_by="member_id"
    )
    return member


def contact(event: int, what: str, **more: Any) -> dict[str, Any]:
    return {
        "eventId": event,
        "subscriptionId": 12345,
        "portalId": 62515,
        "appId": 54321,
        "occurredAt": NOON + event,
        "subscriptionType": f"contact.{what}",
        "attemptNumber": 0,
        "objectId": 123,
        "changeSource": "CRM",
        **more,
    }


class TestHubSpot:
    def post(self, sender: Sender, batch: Any, *, age: float = 0, secret: str = SECRET) -> Any:
        raw = json.dumps(batch)
        milliseconds = str(int((time.time() - age) * 1000))
        signature = Signature.get_signature(
            client_secret=secret,
            request_body=raw,
            signature_version="v3",
            http_uri=f"http://testserver{sender.path}",
            http_method="POST",
            timestamp=milliseconds,
        )
        headers = {
            "X-HubSpot-Signature-v3": signature,
            "X-HubSpot-Request-Timestamp": milliseconds,
        }
        return sender.post(raw.encode(), headers)

    def test_a_batch_is_many_messages_each_with_its_own_outcome(
        self, till: Till, connect_vendor: Any
    ) -> None:
        vendor = connect_vendor(Vendor())
        FieldMapping.objects.create(
            connection=vendor, attribute="first_name", name="firstname", owner="vendor"
        )
        sender = source(till, "hubspot", config={"portal": "62515"}, connection_id=vendor.pk)
        member = knows(sender, till, "123")
        change = "propertyChange"
        batch = [
            contact(1, change, propertyName="firstname", propertyValue="Ada"),
            contact(1, change, propertyName="loyalty_tier", propertyValue="platinum"),
            contact(2, change, propertyName="hs_email_optout", propertyValue="true"),
            contact(3, "privacyDeletion"),
            contact(4, "merge", primaryObjectId=123, mergedObjectIds=[9]),
            contact(5, "creation", objectId=77),
            contact(6, change, propertyName="firstname", propertyValue="X", objectId=999),
            contact(7, change, propertyName="firstname", propertyValue="X", portalId=1),
            {**contact(8, "x"), "subscriptionType": "company.propertyChange"},
            contact(9, change, propertyName="hs_email_optout", occurredAt="noon"),
        ]
        assert self.post(sender, batch).json() == {"received": 10, "new": 10}
        again = [{**one, "attemptNumber": 1} for one in batch]
        assert self.post(sender, again).json() == {"received": 10, "new": 0}
        work_inbox(seconds=30)
        assert [message.state for message in sender.messages()] == [
            *("done", "done", "done", "parked", "parked"),
            *("ignored", "ignored", "ignored", "kept", "dead"),
        ]
        assert Member.objects.get(pk=member).first_name == "Ada"
        (word,) = list_consents([member])
        assert (word.channel, word.is_given) == ("email", False)
        assert word.at == datetime.fromtimestamp((NOON + 2) / 1000, UTC)
        assert sender.messages()[3].member_id == member

    def test_signatures(self, till: Till) -> None:
        sender = source(till, "hubspot", config={"portal": "62515"})
        for refused in (
            self.post(sender, [], secret="another"),
            self.post(sender, [], age=301),
            self.post(sender, [], age=-301),
            sender.post(b"[]", {"X-HubSpot-Signature-v3": "abc"}),
        ):
            assert code_of(refused) == (401, "signature_invalid")
        assert code_of(self.post(sender, {"no": "list"})) == (400, "malformed_json")
        for config in ({}, {"portal": "x"}, {"portal": "1", "address": "http://x"}):
            with pytest.raises(ConfigRefused):
                source(till, "hubspot", config=config)


class TestKlaviyo:
    def post(self, sender: Sender, body: Any, *, age: int = 0, secret: str = SECRET) -> Any:
        raw = json.dumps(body).encode()
        sent_at = str(int(time.time()) - age)
        headers = {
            "Klaviyo-Signature": hmac_hex(secret, raw + sent_at.encode()),
            "Klaviyo-Timestamp": sent_at,
            "Klaviyo-Webhook-Id": "01J0000000000000000000000",
        }
        return sender.post(raw, headers)

    def event(self, number: int, topic: str) -> dict[str, Any]:
        profile = {"data": {"type": "profile", "id": "01PROFILE"}}
        metric = {"data": {"type": "metric", "id": "M"}}
        return {
            "external_id": f"event-{number}",
            "topic": f"event:klaviyo.{topic}",
            "payload": {
                "data": {
                    "type": "event",
                    "id": f"event-{number}",
                    "attributes": {
                        "timestamp": 1_763_800_000 + number,
                        "event_properties": {"method_detail": "API"},
                        "uuid": "1d1d",
                    },
                    "relationships": {"profile": profile, "metric": metric},
                }
            },
        }

    def test_consent_comes_in(self, till: Till) -> None:
        sender = source(till, "klaviyo")
        member = knows(sender, till, "01PROFILE")
        topics = (
            "unsubscribed_from_email_marketing",
            "subscribed_to_sms_marketing",
            "subscribed_to_list",
            "email_delivered",
        )
        data = [self.event(number, topic) for number, topic in enumerate(topics)]
        body = {"data": data, "meta": {"timestamp": "2026-11-22T12:00:00+00:00"}}
        assert self.post(sender, body).json() == {"received": 4, "new": 4}
        assert self.post(sender, body).json() == {"received": 4, "new": 0}
        work_inbox(seconds=30)
        states = [message.state for message in sender.messages()]
        assert states == ["done", "done", "ignored", "kept"]
        words = {row.channel: row for row in list_consents([member])}
        assert {name: word.is_given for name, word in words.items()} == {
            "email": False,
            "sms": True,
        }
        assert words["sms"].at == datetime.fromtimestamp(1_763_800_001, UTC)
        for refused in (
            self.post(sender, body, secret="another"),
            self.post(sender, body, age=301),
        ):
            assert code_of(refused) == (401, "signature_invalid")
        assert code_of(self.post(sender, {"data": 1})) == (400, "malformed_json")

    def test_a_time_that_is_none_is_said_at_once(self, till: Till) -> None:
        """Some of them the system itself refuses, and in a way of its own."""
        sender = source(till, "klaviyo")
        knows(sender, till, "01PROFILE")
        data = [self.event(number, "subscribed_to_sms_marketing") for number in range(2)]
        for one, timestamp in zip(data, (10**13, 10**17), strict=True):
            one["payload"]["data"]["attributes"]["timestamp"] = timestamp
        self.post(sender, {"data": data})
        work_inbox(seconds=30)
        assert [message.state for message in sender.messages()] == ["dead", "dead"]

    def test_the_connections_page_says_that_polls_stand_in_for_webhooks(
        self, till: Till, page: Client, settings: Any
    ) -> None:
        settings.CRM_POLL_SECONDS = 1234
        own = self.connection(till, "klaviyo")
        Relay.objects.filter(connection=own).update(notice="<Something> else is missing.")
        polled = "asked for every 1234 seconds, since no webhooks of Klaviyo come in"
        shown = self.shown(page, own)
        assert polled in shown
        assert "/admin/crm_sync/source/add/?kind=klaviyo" in shown
        assert "&lt;Something&gt; else is missing. Consent" in shown
        assert polled not in self.shown(page, self.connection(till, "omnisend"))

        body = {"data": [self.event(1, "email_delivered")]}
        others = source(till, "klaviyo", connection_id=self.connection(till, "klaviyo").pk)
        self.post(others, body)
        Source.objects.filter(pk=others.source.pk).update(name="Another account's")
        mine = source(till, "klaviyo", connection_id=own.pk)
        assert polled in self.shown(page, own)
        self.post(mine, body)
        shown = self.shown(page, own)
        assert polled not in shown
        assert "else is missing." in shown

    def connection(self, till: Till, kind: str) -> Connection:
        name = f"CRM {Connection.objects.filter(program=till.program).count()}"
        made = Connection.objects.create(program=till.program, name=name, adapter=kind, config={})
        Relay.objects.create(connection=made)
        return made

    def shown(self, page: Client, connection: Connection) -> str:
        return page.get(f"/admin/crm_sync/connection/{connection.pk}/change/").content.decode()


class TestSegment:
    def post(self, sender: Sender, body: Any, secret: str = SECRET) -> Any:
        raw = json.dumps(body).encode()
        return sender.post(raw, {"X-Signature": hmac_hex(secret, raw, "sha1")})

    def call(self, number: int, type_: str, user: str | None, **more: Any) -> dict[str, Any]:
        return {
            "messageId": f"ajs-{number}",
            "type": type_,
            "userId": user,
            "anonymousId": "507f191e810c19729de860ea",
            "timestamp": "2026-11-22T12:00:00.000Z",
            "receivedAt": "2026-11-22T12:00:01.000Z",
            "channel": "server",
            "context": {"library": {"name": "http"}},
            "version": 2,
            **more,
        }

    def test_traits_and_audiences_come_in(self, till: Till, connect_vendor: Any) -> None:
        vendor = connect_vendor(Vendor())
        FieldMapping.objects.create(
            connection=vendor, attribute="attribute.plan", name="plan", owner="vendor"
        )
        sender = source(till, "segment", connection_id=vendor.pk)
        member = UUID(till.ids[till.member()])
        computed = {"computation_class": "audience", "computation_key": "big_spenders"}
        audience = {"context": {"personas": computed}}
        calls = [
            self.call(1, "identify", str(member), traits={"plan": "pro", "loyalty_tier": "x"}),
            self.call(2, "identify", str(member), traits={"big_spenders": True}, **audience),
            self.call(3, "track", str(member), event="Audience Entered",
                      properties={"audience_key": "runners"}),
            self.call(4, "track", str(member), event="Product Viewed", properties={}),
            self.call(5, "identify", None, traits={"plan": "free"}),
            self.call(6, "identify", "nobody", traits={"plan": "free"}),
        ]  # fmt: skip
        for call in [*calls, calls[0]]:
            assert self.post(sender, call).status_code == 200
        assert code_of(self.post(sender, calls[0], "another")) == (401, "signature_invalid")
        work_inbox(seconds=30)
        states = [message.state for message in sender.messages()]
        assert states == ["done", "done", "done", "kept", "ignored", "ignored"]
        assert Member.objects.get(pk=member).attributes == {"plan": "pro"}
        inside = SegmentMember.objects.filter(member_id=member).values_list("segment", flat=True)
        assert set(inside) == {"segment.big-spenders", "segment.runners"}
        left = self.call(7, "identify", str(member), traits={"big_spenders": False}, **audience)
        self.post(sender, left)
        work_inbox(seconds=30)
        inside = SegmentMember.objects.filter(member_id=member).values_list("segment", flat=True)
        assert set(inside) == {"segment.runners"}
