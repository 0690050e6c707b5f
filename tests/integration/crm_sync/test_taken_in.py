"""Consent, segments and fields come in, are kept, and go with an erased member."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from crm_sync import tasks
from crm_sync.adapters.contract import Change, ChangePage, Consent
from crm_sync.adapters.klaviyo import REVISION
from crm_sync.adapters.outcomes import Retryable
from crm_sync.inbound.contract import PersonSaid, Who
from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.left_out import FAILED
from crm_sync.inbound.people import Origin, take_in
from crm_sync.inbound.polling import list_polled, poll, take_page, try_again
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Allowance, Connection, Contact, FieldMapping, PollCursor
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.postscript import Postscript
from crm_sync.services.connections import create_connection
from loyalty.members.consent import ConsentSaid, list_consents, present_consents, record_consents
from loyalty.members.models import Member, Segment, SegmentMember
from tests.factories import Till, balance_of, rows
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.senders import name, standard
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.http.caller import Caller, body_of
from tests.people import erase, merge

LEFT_OUT = "/admin/crm_sync/leftoutperson/"
MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


def said(member: str, given: bool, at: datetime | None, **more: Any) -> ConsentSaid:
    values = {"channel": "email", "source": "source:Shop", **more}
    return ConsentSaid(member_id=UUID(member), is_given=given, at=at, **values)


def record(till: Till, *words: ConsentSaid) -> int:
    return record_consents(program_id=till.program.pk, said=words)


def test_the_newest_word_counts_whatever_comes_last(till: Till) -> None:
    member = till.ids[till.member()]
    tuesday = MONDAY + timedelta(days=1)
    assert record(till, said(member, False, tuesday), said(member, True, MONDAY)) == 2
    assert record(till, said(member, True, MONDAY)) == 0
    assert not present_consents([UUID(member)])["email"].is_given
    other = said(member, True, tuesday + timedelta(hours=1), source="connection:CRM")
    assert record(till, other) == 1
    assert present_consents([UUID(member)])["email"].is_given
    assert [row.is_given for row in list_consents([UUID(member)])] == [True, False, True]


def test_a_word_without_a_time_counts_if_it_is_a_new_one(till: Till) -> None:
    member = till.ids[till.member()]
    ahead = timezone.now() + timedelta(days=30)
    told = [(False, None, 0), (True, None, 1), (True, None, 0), (True, ahead, 0), (False, None, 1)]
    for given, at, new in told:
        assert record(till, said(member, given, at)) == new


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        # (who, given, hours since Monday or None for a word without a time), and what counts
        ([("a", False, 0), ("b", True, None)], False),
        ([("b", True, None), ("a", False, 0)], False),  # heard late, and older than was heard
        ([("a", False, 0), ("b", True, -1)], False),
        ([("a", False, 0), ("b", True, 1)], True),
        ([("b", True, None)], True),
        ([("a", False, 0), ("b", False, 1), ("b", True, None)], True),  # B's came after A's
        ([("a", False, 2), ("b", False, 1), ("b", True, None)], False),  # B's may be older
        ([("a", True, 0), ("a", False, None), ("b", True, None)], False),
        ([("a", True, 0), ("a", False, None), ("a", True, None)], True),
    ],
)
def test_an_opt_out_counts_unless_consent_was_surely_given_later(
    till: Till, words: list[tuple[str, bool, int | None]], counts: bool
) -> None:
    member = till.ids[till.member()]
    for source, given, hours in words:
        at = None if hours is None else MONDAY + timedelta(hours=hours)
        assert record(till, said(member, given, at, source=source)) == 1  # every word is kept
    assert present_consents([UUID(member)])["email"].is_given == counts


def test_a_time_ahead_outdoes_no_opt_out_of_today(till: Till) -> None:
    member = till.ids[till.member()]
    now = timezone.now()
    record(till, said(member, True, now + timedelta(hours=14), source="a"))
    record(till, said(member, False, now + timedelta(minutes=1), source="b"))
    record(till, said(member, False, None, source="b"))
    assert not present_consents([UUID(member)])["email"].is_given


def test_the_database_keeps_every_word(till: Till) -> None:
    member = till.ids[till.member()]
    record(till, said(member, True, MONDAY))
    for statement in (
        "UPDATE loyalty_consentrecord SET is_given = false WHERE member_id = %s",
        "DELETE FROM loyalty_consentrecord WHERE member_id = %s",
    ):
        with pytest.raises(DatabaseError, match="is refused") as refused:
            rows(statement, member)
        assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)
    with pytest.raises(DatabaseError, match="is refused"):
        rows("TRUNCATE loyalty_consentrecord")
    assert len(list_consents([UUID(member)])) == 1


def test_it_follows_a_merge_is_exported_and_goes_with_the_erased(till: Till) -> None:
    """Scenario 52: an erased member leaves no word of consent behind."""
    old, new = till.member(), till.member()
    record(till, said(till.ids[old], True, MONDAY, raw_id="msg_1"))
    merge(till, old, new)
    later = said(till.ids[old], False, MONDAY + timedelta(days=1))
    assert record(till, later) == 1
    api = Caller(till.program.pk)
    told = body_of(api.get(f"/v1/members/{till.ids[new]}/export"))["consents"]
    assert [(one["member_id"], one["is_given"]) for one in told] == [
        (till.ids[new], False),
        (till.ids[old], True),
    ]
    assert erase(till, new).status == 200
    assert list_consents([UUID(till.ids[old]), UUID(till.ids[new])]) == []
    assert record(till, later) == 0
    api.row.delete()


def test_what_a_source_says_is_taken_in(till: Till) -> None:
    sender = standard(till)
    card = till.member()
    member = UUID(till.ids[card])
    person = {"member": till.ids[card]}
    given = {"channel": "email", "given": True, "at": MONDAY.isoformat()}
    sender.send(
        "person",
        {
            "person": person,
            "consents": [given, {"channel": "Carrier Pigeon", "given": True}],
            "segments": ["VIP", "Über 50!"],
        },
        id_="msg_9",
    )
    message = sender.only()
    assert message.note == (
        "1 new in the history of consent. 1 of an unknown channel. Came into 2 segments and left 0."
    )
    (word,) = list_consents([member])
    assert (word.source, word.raw_id, word.at) == ("source:Ours", "msg_9", MONDAY)
    rows("INSERT INTO loyalty_segmentmember (member_id, segment, program_id, since)"
         " VALUES (%s, 'by-hand', %s, now())", member, till.program.pk)  # fmt: skip
    sender.send("person", {"person": person, "segments": ["VIP"]})
    sender.send("person", {"person": person, "joined": ["New"], "left": ["vip"]})
    work_inbox(seconds=30)
    inside = SegmentMember.objects.filter(member_id=member).values_list("segment", flat=True)
    assert set(inside) == {"by-hand", "ours.new"}


class PolledVendor(Vendor):
    """A vendor that can be asked what has changed; pages are given one after another."""

    pages: list[ChangePage]

    def list_changes(self, target: Any, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        place = int(cursor or 0)
        if place >= len(self.pages):
            return ChangePage(changes=[], cursor=cursor)
        return self.pages[place]


def change(vendor_id: str = "", **more: Any) -> Change:
    consent = Consent(channel="sms", is_given=True, changed_at=MONDAY.isoformat())
    return Change(vendor_id=vendor_id, consents=(consent,), **{"fields": {}, **more})


@pytest.fixture
def vendor(connect_vendor: Callable[..., Connection]) -> tuple[PolledVendor, Connection]:
    polled = PolledVendor()
    return polled, connect_vendor(polled)


def test_polls_go_on_where_they_stopped(
    till: Till, vendor: tuple[PolledVendor, Connection], settings: Any
) -> None:
    polled, connection = vendor
    one, other = till.ids[till.member()], till.ids[till.member()]
    failed = ChangePage(changes=[], cursor="1", outcome=Retryable(error="Busy.", retry_after=900))
    first = ChangePage(changes=[change(member_id=one)], cursor="1", has_more=True)
    polled.pages = [first, failed]
    assert list_polled() == [connection.pk]
    tasks.poll_changes()
    cursor = PollCursor.objects.get(pk=connection.pk)
    assert (cursor.cursor, cursor.last_error) == ("1", "Busy.")
    assert cursor.next_at > timezone.now() + timedelta(seconds=800)
    assert list_polled() == []
    polled.pages[1] = ChangePage(changes=[change(member_id=other)], cursor="2")
    PollCursor.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert poll(connection_id=connection.pk, seconds=30) == 1
    assert poll(connection_id=connection.pk, seconds=30) == 0
    cursor.refresh_from_db()
    assert (cursor.cursor, cursor.last_error) == ("2", "")
    for member in (one, other):
        assert present_consents([UUID(member)])["sms"].source == "connection:Vendor"
    assert list_polled() == []


def test_one_who_cannot_be_taken_in_holds_up_nobody_and_stays_in_sight(
    till: Till, vendor: tuple[PolledVendor, Connection]
) -> None:
    polled, connection = vendor
    card = till.member()
    one, other = till.ids[card], till.ids[till.member()]
    polled.pages = [
        ChangePage(changes=[change("a\x00", member_id=one), change(member_id=other)], cursor="1")
    ]
    list_polled()
    poll(connection_id=connection.pk, seconds=30)
    cursor = PollCursor.objects.get(pk=connection.pk)
    assert cursor.cursor == "1"
    (left,) = connection.left_out.all()
    assert (left.members, left.note) == ([one], FAILED)
    assert try_again(left_out_ids=[left.pk]) == 0
    polled.pages.append(ChangePage(changes=[], cursor="2"))
    PollCursor.objects.update(next_at=timezone.now())
    poll(connection_id=connection.pk, seconds=30)
    assert connection.left_out.count() == 1  # also when all goes well again
    assert list(present_consents([UUID(one)])) == []
    assert list(present_consents([UUID(other)])) == ["sms"]
    erase(till, card)
    drain()
    follow_feed()
    assert not connection.left_out.exists()


def test_whoever_may_be_two_members_is_left_out(
    till: Till, vendor: tuple[PolledVendor, Connection]
) -> None:
    _, connection = vendor
    one, other = till.ids[till.member()], till.ids[till.member()]
    Contact.objects.create(connection=connection, member_id=one, vendor_id="v1", matched_by="new")
    FieldMapping.objects.create(
        connection=connection, attribute="language", name="lang", owner="vendor"
    )
    changes = [
        change("v1", fields={"lang": "fr", "loyalty_points": 99}, segments=("Gold",)),
        change("v1", member_id=other),
        change("v2", email="nobody@example.com"),
        change("v3", member_id="not an id"),
    ]
    assert not take_page(connection, changes)
    assert Member.objects.get(pk=one).language == "fr"
    assert SegmentMember.objects.get(member_id=one).segment == "vendor.gold"
    assert list_consents([UUID(other)]) == []
    (left,) = connection.left_out.all()
    assert (left.vendor_id, left.members) == ("v1", sorted([one, other]))


def test_whoever_was_left_out_is_taken_in_when_it_is_put_right(
    till: Till, vendor: tuple[PolledVendor, Connection], page: Client
) -> None:
    _, connection = vendor
    one, two, other = (till.ids[till.member()] for _ in range(3))
    list_polled()
    Contact.objects.create(connection=connection, member_id=one, vendor_id="v1", matched_by="new")
    Contact.objects.create(connection=connection, member_id=two, vendor_id="v2", matched_by="new")
    take_page(connection, [change("v1", member_id=other), change("v2", member_id=other)])
    shown = page.get(f"/admin/crm_sync/connection/{connection.pk}/change/").content.decode()
    assert "People left out: 2" in shown
    listed = page.get(LEFT_OUT).content.decode()
    assert "Several members may be meant" in listed
    assert other in listed
    first, second = connection.left_out.order_by("vendor_id")
    Contact.objects.filter(connection=connection).delete()
    chosen = {"action": "try_chosen_again", "_selected_action": [str(first.pk)]}
    assert "1 people are not left out" in page.post(LEFT_OUT, chosen, follow=True).content.decode()
    assert list(present_consents([UUID(other)])) == ["sms"]
    assert list(connection.left_out.all()) == [second]
    take_page(connection, [change("v2", member_id=other)])  # the vendor tells of them anew
    assert not connection.left_out.exists()


def test_klaviyos_consent_comes_in_by_itself(till: Till, settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    with Klaviyo() as klaviyo:
        connection = create_connection(
            program_id=till.program.pk,
            name="Klaviyo",
            adapter="klaviyo",
            config={"revision": REVISION, "address": klaviyo.url},
            secrets={"api_key": klaviyo.api_key},
        )
        member = till.ids[till.member()]
        known = klaviyo.add(email="p@example.com", properties={"loyalty_member_id": member})
        klaviyo.consent(known, "email", "SUBSCRIBED")
        tasks.poll_changes()
        klaviyo.consent(known, "email", "UNSUBSCRIBED")
        PollCursor.objects.filter(pk=connection.pk).update(next_at=timezone.now())
        tasks.poll_changes()
    found = list_consents([UUID(member)])
    assert [(row.channel, row.is_given) for row in found] == [("email", False), ("email", True)]
    assert found[0].raw_id == known.id


def test_what_we_push_does_not_override_an_opt_out_told_elsewhere(
    till: Till, settings: Any
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    with Postscript() as postscript:
        postscript._clock = timezone.now()
        there = postscript.subscribe("p@example.com")
        connection = create_connection(
            program_id=till.program.pk,
            name="Postscript",
            adapter="postscript",
            config={"address": postscript.url},
            secrets={"api_key": postscript.api_key},
        )
        card = till.member(balance=5)
        member = till.ids[card]
        name(till, card, "email", "p@example.com")

        def sms() -> bool:
            till.adjust(card, 1)
            for _ in range(2):
                Allowance.objects.filter(connection=connection).delete()
                drain()
                pass_time(connection)
            assert there.properties["loyalty_points_balance"] == balance_of(member)["available"]
            Allowance.objects.filter(connection=connection).delete()
            list_polled()
            PollCursor.objects.filter(pk=connection.pk).update(next_at=timezone.now())
            assert poll(connection_id=connection.pk, seconds=30) == 1
            return present_consents([UUID(member)])["sms"].is_given

        assert sms()
        assert record(till, said(member, False, timezone.now(), channel="sms")) == 1
        assert [sms() for _ in range(3)] == [False] * 3
        assert len(list_consents([UUID(member)])) == 2
        # Only what the person does there themselves is news: STOP, and START after it.
        postscript.stop(there)
        assert not sms()
        there.can_send = True
        assert sms()


def test_the_same_word_read_once_more_after_a_merge_is_no_news(till: Till) -> None:
    old, new = till.member(), till.member()
    polled = {"source": "connection:CRM"}
    assert record(till, said(till.ids[old], True, None, **polled)) == 1
    assert record(till, said(till.ids[old], False, timezone.now())) == 1
    merge(till, old, new)
    assert record(till, said(till.ids[old], True, None, **polled)) == 0
    assert record(till, said(till.ids[new], True, None, **polled)) == 0
    people = [UUID(till.ids[old]), UUID(till.ids[new])]
    assert not present_consents(people)["email"].is_given
    assert record(till, said(till.ids[new], False, None, **polled)) == 1


def test_the_members_page_shows_the_history(till: Till) -> None:
    member = till.ids[till.member()]
    record(till, said(member, True, MONDAY), said(member, False, MONDAY + timedelta(days=1)))
    user = User.objects.create_superuser(f"admin-{till.program.code}")
    client = Client()
    client.force_login(user)
    shown = client.get(f"/admin/loyalty/member/{member}/change/?show=consent").content.decode()
    assert 'Email: withdrawn</strong> <span class="ly-tag">counts' in shown
    assert "Email: given</strong><span" in shown.replace("</strong> <span", "</strong><span")
    assert "source:Shop" in shown
    user.delete()


def test_vendors_with_names_that_begin_alike_leave_each_others_segments(till: Till) -> None:
    member = UUID(till.ids[till.member()])
    ours = [f"Omnisend production {place}" for place in ("EU", "US")]
    for title, told in zip(ours, (("VIP", "常連"), ("Runners",)), strict=True):
        origin = Origin(till.program.pk, title, f"connection:{title}")
        take_in(origin, PersonSaid(who=Who(), segments=told), member)
    inside = SegmentMember.objects.filter(member_id=member).values_list("segment", flat=True)
    names = Segment.objects.filter(program_id=till.program.pk, code__in=inside)
    assert set(names.values_list("name", flat=True)) == {
        "Omnisend production EU: VIP",
        "Omnisend production EU: 常連",
        "Omnisend production US: Runners",
    }
    take_in(Origin(till.program.pk, ours[0], ""), PersonSaid(who=Who(), segments=()), member)
    assert inside.count() == 1
