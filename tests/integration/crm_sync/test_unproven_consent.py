"""Consent of whom we made at a vendor with an email that nobody has verified may be another's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from crm_sync import tasks
from crm_sync.adapters.contract import Change, Consent
from crm_sync.addresses import hash_addresses
from crm_sync.inbound import polling
from crm_sync.inbound.in_doubt import work_again
from crm_sync.inbound.polling import take_page, try_again, try_due
from crm_sync.models import Connection, Contact, FieldMapping
from loyalty.members.consent import present_consents
from loyalty.members.models import Member, SegmentMember
from tests.factories import Till
from tests.integration.crm_sync.senders import (
    NOW,
    StandardSender,
    begin_to_follow,
    name,
    pass_a_second,
    remove,
    standard,
    verify,
)
from tests.integration.crm_sync.vendor import Vendor

Connect = Callable[..., Connection]


class Made:
    """A member whom a connection has made at its vendor, with an email that nobody has verified."""

    def __init__(self, till: Till, connection: Connection) -> None:
        self.till, self.connection = till, connection
        self.card = till.member()
        self.member, self.email = till.ids[self.card], f"{self.card}@example.com"
        name(till, self.card, "email", self.email, verified=False)
        self.contact = Contact.objects.create(
            connection=connection,
            member_id=self.member,
            vendor_id="v1",
            matched_by="new",
            addresses=hash_addresses({"email": self.email}),
        )

    def tell(self, *consents: Consent, **said: Any) -> bool:
        """Tell of them what a page of changes does; say whether it was all taken in."""
        given = {"vendor_id": "v1", "fields": {}, "consents": consents, **said}
        return take_page(self.connection, [Change(**given)])

    def verify(self) -> None:
        verify(self.till, self.card, self.email)

    def try_again(self) -> int:
        return try_again(left_out_ids=self.connection.left_out.values_list("pk", flat=True))

    def language(self) -> str:
        return Member.objects.get(pk=self.member).language

    def segments(self) -> list[str]:
        rows = SegmentMember.objects.filter(member_id=self.member)
        return list(rows.values_list("segment", flat=True))

    def counts(self) -> dict[str, bool]:
        """Say which consents count."""
        words = present_consents([UUID(self.member)])
        return {channel: word.is_given for channel, word in words.items()}


@pytest.fixture
def made(till: Till, connect_vendor: Connect) -> Made:
    return Made(till, connect_vendor(Vendor()))


@pytest.fixture
def sender(till: Till, made: Made) -> StandardSender:
    begin_to_follow()
    return standard(till, connection_id=made.connection.pk)


def given(channel: str, hour: int | None = 0) -> Consent:
    return word(channel, True, hour)


def withdrawn(channel: str, hour: int | None = 0) -> Consent:
    return word(channel, False, hour)


def word(channel: str, is_given: bool, hour: int | None) -> Consent:
    at = "" if hour is None else (NOW - timedelta(hours=9 - hour)).isoformat()
    return Consent(channel=channel, is_given=is_given, changed_at=at, is_act=True)


@pytest.mark.parametrize(
    ("is_by_email", "is_verified", "is_trusting", "is_taken"),
    [
        (True, False, False, False),
        (True, True, False, True),
        (True, False, True, True),
        (False, False, False, True),
    ],
)
def test_that_it_is_given_counts_only_where_it_is_surely_the_members(
    made: Made, is_by_email: bool, is_verified: bool, is_trusting: bool, is_taken: bool
) -> None:
    if not is_by_email:
        Contact.objects.filter(connection=made.connection).update(addresses={})
    made.connection.matches_unverified = is_trusting
    if is_verified:
        made.verify()
    assert made.tell(given("email")) == is_taken
    assert made.counts() == ({"email": True} if is_taken else {})
    assert made.connection.left_out.exists() != is_taken


def test_our_own_id_that_the_vendor_has_from_us_proves_nothing(made: Made) -> None:
    Contact.objects.filter(connection=made.connection).update(vendor_id="")
    assert not made.tell(given("email"), vendor_id="", member_id=made.member)
    assert made.counts() == {}


def test_that_it_is_withdrawn_counts_at_once_and_all_the_rest_waits(made: Made) -> None:
    FieldMapping.objects.create(
        connection=made.connection, attribute="language", name="lang", owner="vendor"
    )
    rest: dict[str, Any] = {"fields": {"lang": "fr"}, "segments": ("Gold",)}
    assert not made.tell(given("sms"), withdrawn("email"), **rest)
    assert (made.counts(), made.language(), made.segments()) == ({"email": False}, "", [])
    (left,) = made.connection.left_out.all()
    assert (left.members, "nobody has verified" in left.note) == ([made.member], True)
    assert not made.tell(fields={"lang": "de"})  # it is still not theirs
    assert not made.tell(withdrawn("sms", 1))
    made.verify()
    assert made.try_again() == 1
    assert made.counts() == {"email": False, "sms": False}
    assert (made.language(), made.segments()) == ("de", ["vendor.gold"])


@pytest.mark.parametrize(
    "said",
    [{"fields": {"lang": "fr"}}, {"segments": ("Gold",)}, {"fields": {"lang": "fr"}, "hour": 1}],
)
def test_fields_and_segments_wait_by_themselves_until_nothing_is_given(
    made: Made, said: dict[str, Any]
) -> None:
    FieldMapping.objects.create(
        connection=made.connection, attribute="language", name="lang", owner="vendor"
    )
    hour = said.pop("hour", None)
    assert not made.tell(*([withdrawn("sms", hour)] if hour else []), **said)
    assert (made.language(), made.segments()) == ("", [])
    assert made.connection.left_out.count() == 1
    empty = {"fields": {"lang": None}, "segments": ()}
    assert made.tell(**{name: empty[name] for name in said})
    assert not made.connection.left_out.exists()


def test_fields_that_are_not_mapped_hold_up_nobody(made: Made) -> None:
    assert made.tell(withdrawn("sms"), fields={"lang": "fr", "loyalty_points": 3})
    assert not made.connection.left_out.exists()


@pytest.mark.parametrize("hours", [(0, 1), (None, None)])
@pytest.mark.parametrize("is_one_page", [True, False])
def test_what_was_withdrawn_since_stays_withdrawn_when_it_is_verified(
    made: Made, hours: tuple[int | None, int | None], is_one_page: bool
) -> None:
    """Also where no times are told."""
    words = [given("sms", hours[0]), withdrawn("sms", hours[1])]
    changes = [Change(vendor_id="v1", fields={}, consents=(one,)) for one in words]
    for page in [changes] if is_one_page else [[one] for one in changes]:
        take_page(made.connection, [*page, Change(vendor_id="v2", fields={})])
    assert made.counts() == {"sms": False}
    made.verify()
    made.try_again()
    assert made.counts() == {"sms": False}
    assert not made.connection.left_out.exists()


def test_what_was_given_is_taken_in_when_it_is_verified(made: Made) -> None:
    made.tell(withdrawn("email"), given("sms"))
    made.tell(given("email", 1))
    assert (made.try_again(), made.counts()) == (0, {"email": False})
    made.verify()
    assert (made.try_again(), made.counts()) == (1, {"email": True, "sms": True})


def test_whoever_was_left_out_is_taken_in_by_itself(till: Till, made: Made) -> None:
    begin_to_follow()
    made.tell(given("sms"))
    made.tell(given("email"), vendor_id="v9", email=made.email)  # whom only the email leads to
    name(till, made.card, "external", "of no use")
    for is_verified in (False, True):
        if is_verified:
            made.verify()
        pass_a_second()
        assert made.connection.left_out.filter(next_at=None).count() == 0
        tasks.poll_changes()
        assert made.connection.left_out.filter(next_at=None).count() == (0 if is_verified else 2)
    assert made.counts() == {"email": True, "sms": True}
    assert not made.connection.left_out.exists()


def test_who_tries_while_more_becomes_known_tries_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.tell(given("sms"))
    made.connection.left_out.update(next_at=timezone.now())
    take = polling._take_safely

    def take_slowly(*args: Any) -> bool:
        monkeypatch.setattr(polling, "_take_safely", take)
        found = take(*args)
        made.verify()
        work_again([UUID(made.member)])
        return found

    monkeypatch.setattr(polling, "_take_safely", take_slowly)
    assert try_due(seconds=30) == 1
    assert made.counts() == {"sms": True}


@pytest.mark.parametrize("is_several", [True, False])
def test_that_it_is_withdrawn_counts_of_all_who_may_be_meant(
    till: Till, made: Made, is_several: bool
) -> None:
    other = till.member()
    name(till, other, "email", f"{other}@example.com", verified=False)
    told = {"member_id": till.ids[other]} if is_several else {"vendor_id": "v2"}
    assert not made.tell(given("sms"), withdrawn("email"), email=f"{other}@example.com", **told)
    for member, is_meant in ((made.member, is_several), (till.ids[other], True)):
        counts = {
            channel: one.is_given for channel, one in present_consents([UUID(member)]).items()
        }
        assert counts == ({"email": False} if is_meant else {})


class TestAMessage:
    """The same, told by the vendor's webhooks."""

    def send(self, sender: StandardSender, person: Any, **given: bool) -> tuple[str, str]:
        consents = [{"channel": channel, "given": one} for channel, one in given.items()]
        sender.send("person", {"person": person, "consents": consents})
        pass_a_second()
        message = sender.messages()[-1]
        return message.state, message.note

    @pytest.mark.parametrize("by", ["id", "member"])
    def test_waits_if_it_gives(self, made: Made, sender: StandardSender, by: str) -> None:
        person = {by: {"id": "v1", "member": made.member}[by]}
        state, note = self.send(sender, person, sms=True, email=False)
        assert (state, "nobody has verified" in note) == ("parked", True)
        assert made.counts() == {"email": False}
        made.verify()
        pass_a_second()
        assert made.counts() == {"email": False, "sms": True}
        assert self.send(sender, person, sms=True)[0] == "done"

    @pytest.mark.parametrize(
        ("told", "is_taken"),
        [
            ({"fields": {"lang": "fr"}}, False),
            ({"segments": ["Gold"]}, False),
            ({"joined": ["Gold"]}, False),
            ({"left": ["Gold"], "fields": {"lang": None, "unmapped": 1}}, True),
        ],
    )
    def test_waits_with_fields_and_segments(
        self, made: Made, sender: StandardSender, told: Any, is_taken: bool
    ) -> None:
        FieldMapping.objects.create(
            connection=made.connection, attribute="language", name="lang", owner="vendor"
        )
        sender.send("person", {"person": {"id": "v1"}, **told})
        pass_a_second()
        assert sender.only().state == ("done" if is_taken else "parked")
        assert (made.language(), made.segments()) == ("", [])
        made.verify()
        pass_a_second()
        assert sender.only().state == "done"
        assert bool(made.language() or made.segments()) != is_taken

    def test_waits_also_for_who_has_another_email_by_now(
        self, till: Till, made: Made, sender: StandardSender
    ) -> None:
        remove(till, made.card, "email")
        own = f"own-{made.email}"
        name(till, made.card, "email", own)
        for person in ({"id": "v1"}, {"member": made.member}, {"id": "v9", "member": made.member}):
            assert self.send(sender, person, sms=True)[0] == "parked"
        assert self.send(sender, {"id": "v1", "email": own}, sms=True)[0] == "done"

    def test_is_done_if_it_withdraws(self, made: Made, sender: StandardSender) -> None:
        assert self.send(sender, {"id": "v1"}, sms=False)[0] == "done"
        assert made.counts() == {"sms": False}

    def test_withdraws_for_all_who_may_be_meant(
        self, till: Till, made: Made, sender: StandardSender
    ) -> None:
        other = till.member()
        name(till, other, "email", f"{other}@example.com", verified=False)
        state, _ = self.send(sender, {"id": "v9", "email": f"{other}@example.com"}, sms=False)
        assert state == "parked"
        assert not present_consents([UUID(till.ids[other])])["sms"].is_given
