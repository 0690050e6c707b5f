"""Members who had a card only when a vendor was first told of them, and get an email later.

At every vendor of vendor_cases.py: whoever is there already is found, nobody else's is overwritten,
and whom we made there is given the email.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from crm_sync.adapters.contract import Change, Match
from crm_sync.inbound.polling import find_members
from crm_sync.models import Allowance, Connection, Contact, Delivery, Lane
from crm_sync.sandboxes.postscript import Postscript
from crm_sync.sandboxes.shopify import Shopify
from crm_sync.services.connections import create_connection
from crm_sync.services.people import look_again, resolve_match
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.crm_sync.vendor_cases import CASES, Case
from tests.integration.http.caller import Caller, body_of


@dataclass(frozen=True)
class Shelf:
    """How a sandbox keeps people.

    Attributes:
        add: Lets somebody be there with an email, and a member's id or none.
        find: Whom it has with an email, None for nobody.
        mark: Which member's somebody is.
        makes_nameless: Whether somebody without an email is made there at all.
        merge: What a person does there with the one whom we made and the one who is meant, before
            choosing: our id is on one record only.
    """

    add: Callable[[Any, str, str], Any]
    find: Callable[[Any, str], Any]
    mark: Callable[[Any], str | None]
    id_of: Callable[[Any], str] = lambda one: str(one.id)
    makes_nameless: bool = False
    merge: Callable[[Any, str, str], None] = lambda sandbox, losing, winning: None


def _subscribe(postscript: Postscript, email: str, mark: str) -> Any:
    one = postscript.subscribe(email)
    one.properties |= {"loyalty_member_id": mark} if mark else {}
    return one


def _customer(shop: Shopify, email: str, mark: str) -> Any:
    one = shop.add(email=email)
    if mark:
        one.metafields["$app:loyalty", "member_id"] = ("single_line_text_field", mark)
    return one


def _marked(name: str, mark: str) -> dict[str, str]:
    return {name: mark} if mark else {}


SHELVES = {
    "klaviyo": Shelf(
        add=lambda k, email, mark: k.add(
            email=email, properties=_marked("loyalty_member_id", mark)
        ),
        find=lambda k, email: k.find("email", email),
        mark=lambda one: one.properties.get("loyalty_member_id"),
        makes_nameless=True,
    ),
    "omnisend": Shelf(
        add=lambda o, email, mark: o.add(email=email, **_marked("loyaltyMemberId", mark)),
        find=lambda o, email: o.find("email", email),
        mark=lambda one: one.custom.get("loyaltyMemberId"),
    ),
    "postscript": Shelf(
        add=_subscribe,
        find=lambda p, email: next((s for s in p.subscribers.values() if s.email == email), None),
        mark=lambda one: one.properties.get("loyalty_member_id"),
    ),
    "hubspot": Shelf(
        add=lambda h, email, mark: h.add(email=email, **_marked("loyalty_member_id", mark)),
        find=lambda h, email: h.find("email", email),
        mark=lambda one: one.properties.get("loyalty_member_id"),
    ),
    "shopify": Shelf(
        add=_customer,
        find=lambda s, email: s.find(email=email),
        mark=lambda one: one.told().get("member_id"),
    ),
    "salesforce": Shelf(
        add=lambda s, email, mark: s.store.add(
            "Contact", LastName="Doe", Email=email, **_marked("Loyalty_Member_Id__c", mark)
        ),
        find=lambda s, email: next(
            (one for one in s.store.alive("Contact") if one["Email"] == email), None
        ),
        mark=lambda one: one["Loyalty_Member_Id__c"],
        id_of=lambda one: str(one["Id"]),
        merge=lambda s, losing, winning: s.store.merge(losing, winning),
        makes_nameless=True,
    ),
}


@dataclass
class Shop:
    """A till whose program is connected to one vendor."""

    till: Till
    case: Case
    sandbox: Any
    destination: Connection

    def card(self) -> UUID:
        return UUID(self.till.ids[self.till.member(balance=5)])

    def give_email(self, member_id: UUID, email: str) -> None:
        path = f"/v1/members/{member_id}/identifiers"
        answer = Caller(self.till.program.pk).post(
            path, {"type": "email", "value": email, "verified": True}
        )
        assert answer.status_code in (200, 201), answer.content

    def rename(self, member_id: UUID, before: str, after: str) -> None:
        caller, path = Caller(self.till.program.pk), f"/v1/members/{member_id}/identifiers"
        known = body_of(caller.get(f"/v1/members/{member_id}"))["identifiers"]
        number = next(one["id"] for one in known if one["value"] == before)
        gone = caller.call("DELETE", f"{path}/{number}")
        assert gone.status_code == 200, gone.content
        self.give_email(member_id, after)

    def tell(self) -> None:
        for _ in range(20):
            drain()
            if not Lane.objects.filter(connection=self.destination).exists():
                return
            Allowance.objects.filter(connection=self.destination).delete()
            pass_time(self.destination, "1 hour")
        raise AssertionError("somebody still waits")

    def contact(self, member_id: UUID) -> Contact:
        return Contact.objects.get(connection=self.destination, member_id=member_id)


MAKE_NAMELESS = [case for case in CASES if case.name in ("klaviyo", "salesforce")]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def shop(request: pytest.FixtureRequest, till: Till, settings: Any) -> Iterator[Shop]:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    case: Case = request.param
    sandbox: Any
    with case.sandbox() as sandbox:
        account = case.connect(sandbox)
        destination = create_connection(
            program_id=till.program.pk,
            name=case.name,
            adapter=case.name,
            config=account.config,
            secrets=account.credentials.given,  # type: ignore[attr-defined]
        )
        yield Shop(till, case, sandbox, destination)


def test_an_email_that_comes_later_finds_the_right_person(shop: Shop) -> None:
    ann, bob, cid = (shop.card() for _ in range(3))
    shop.tell()
    shelf = SHELVES.get(shop.case.name)
    if shelf is not None:
        anns = shelf.add(shop.sandbox, "ann@example.com", "")
        other = str(uuid4())
        others = shelf.add(shop.sandbox, "bob@example.com", other)
    for name, member_id in (("ann", ann), ("bob", bob), ("cid", cid)):
        shop.give_email(member_id, f"{name}@example.com")
    shop.tell()
    if shelf is None:  # people are rows by our id there, and nobody is matched
        parked = Delivery.objects.filter(connection=shop.destination, state="parked")
        assert not parked.exists()
        return

    # Somebody else's is never taken: a person is asked, once.
    assert shelf.mark(others) == other
    contact = shop.contact(bob)
    assert (contact.stuck, contact.candidates[-1]) == ("parked", shelf.id_of(others))
    assert len(contact.candidates) == 1 + shelf.makes_nameless

    # Nobody's is taken at once, unless we made somebody there: those are two, for a person.
    if shelf.makes_nameless:
        contact = shop.contact(ann)
        assert contact.candidates == [contact.vendor_id, shelf.id_of(anns)]
        assert not shelf.mark(anns)
        shelf.merge(shop.sandbox, contact.vendor_id, shelf.id_of(anns))
        resolve_match(connection_id=shop.destination.pk, member_id=ann, vendor_id=shelf.id_of(anns))
    shop.tell()
    assert shop.contact(ann).vendor_id == shelf.id_of(anns)
    assert shelf.mark(anns) == str(ann)

    # Where nobody has it, whom we made there gets it; Postscript's people only come by themselves.
    cids = shelf.find(shop.sandbox, "cid@example.com")
    if shop.case.name != "postscript":
        assert shelf.mark(cids) == str(cid)
        assert shop.contact(cid).vendor_id == shelf.id_of(cids)
        assert (shop.contact(cid).matched_by, shop.contact(cid).stuck) == ("new", "")


@pytest.mark.parametrize(
    "shop", [case for case in CASES if case.name in SHELVES], ids=lambda c: c.name, indirect=True
)
def test_none_of_them_takes_nobody_elses(shop: Shop) -> None:
    shelf, other, bob = SHELVES[shop.case.name], str(uuid4()), shop.card()
    others = shelf.add(shop.sandbox, "bob@example.com", other)
    shop.give_email(bob, "bob@example.com")
    shop.tell()
    assert shop.contact(bob).candidates == [shelf.id_of(others)]
    resolve_match(connection_id=shop.destination.pk, member_id=bob, vendor_id="")
    for points in (0, 3):  # the second time with an event of later
        if points:
            shop.till.adjust(next(c for c, i in shop.till.ids.items() if i == str(bob)), points)
        shop.tell()
        contact = shop.contact(bob)
        assert shelf.mark(others) == other
        assert shelf.id_of(shelf.find(shop.sandbox, "bob@example.com")) == shelf.id_of(others)
        assert contact.matched_by == "nobody"
        assert contact.vendor_id != shelf.id_of(others)
        # Whoever can be made without an email is there; else a person reads what to do.
        assert bool(contact.vendor_id) == shelf.makes_nameless
        assert contact.stuck == ("" if shelf.makes_nameless else "dead")
        assert ("look again" in contact.last_error) == (not shelf.makes_nameless)

    look_again(connection_id=shop.destination.pk, member_id=bob)
    shop.tell()
    assert shop.contact(bob).stuck == "parked"
    resolve_match(connection_id=shop.destination.pk, member_id=bob, vendor_id="")
    shop.tell()
    shop.rename(bob, "bob@example.com", "rob@example.com")
    shop.tell()
    robs = shelf.find(shop.sandbox, "rob@example.com")
    if shop.case.name != "postscript":
        assert shelf.mark(robs) == str(bob)
        assert (shop.contact(bob).matched_by, shop.contact(bob).stuck) == ("new", "")


@pytest.mark.parametrize("shop", MAKE_NAMELESS, ids=lambda case: case.name, indirect=True)
def test_what_was_made_in_bulk_gets_its_email_too(shop: Shop) -> None:
    shelf = SHELVES[shop.case.name]
    bob, cid = shop.card(), shop.card()
    shop.tell()
    # As after a job, which names nobody's id.
    Contact.objects.filter(connection=shop.destination).update(vendor_id="")
    others = shelf.add(shop.sandbox, "bob@example.com", "")
    shop.give_email(bob, "bob@example.com")
    shop.give_email(cid, "cid@example.com")
    shop.tell()
    assert shop.contact(bob).candidates == [shop.contact(bob).vendor_id, shelf.id_of(others)]
    assert shelf.mark(shelf.find(shop.sandbox, "cid@example.com")) == str(cid)


def test_two_who_subscribe_later_are_for_a_person(till: Till, settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    with Postscript() as postscript:
        destination = create_connection(
            program_id=till.program.pk,
            name="p",
            adapter="postscript",
            config={"address": postscript.url},
            secrets={"api_key": postscript.api_key},
        )
        card = till.member(balance=5)
        shop = Shop(till, CASES[0], postscript, destination)
        shop.give_email(UUID(till.ids[card]), "ada@example.com")
        shop.tell()
        two = [postscript.subscribe("ada@example.com").id for _ in range(2)]
        till.adjust(card, 3)
        shop.tell()
        contact = shop.contact(UUID(till.ids[card]))
        assert (contact.stuck, contact.candidates) == ("parked", two)
        newest = Delivery.objects.filter(connection=destination).order_by("sequence").last()
        assert newest is not None
        assert newest.state == "parked"
        assert not any(one.events for one in postscript.subscribers.values())


_CROWD = """
INSERT INTO crm_sync_contact (connection_id, member_id, vendor_id, matched_by, matched_on,
    addresses, wanted, done, fingerprint, version, attempts, stuck, last_error, candidates,
    is_backfill)
SELECT %s, gen_random_uuid(), 'v' || n, '', '', '{}', 0, 0, '', 0, 0, '', '', '[]', false
FROM generate_series(1, 5000) AS n
"""


def test_whom_a_vendor_speaks_of_is_found_without_reading_everybody(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    destination = connect_vendor(Vendor())
    page = [Change(vendor_id=f"v{number}", fields={}) for number in range(1, 21)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CROWD, [destination.pk])
        cursor.execute("ANALYZE crm_sync_contact")
        with CaptureQueriesContext(connection) as asked:
            find_members(destination, page)
        (found,) = [one["sql"] for one in asked if "crm_sync_contact" in one["sql"]]
        cursor.execute(f"EXPLAIN {found}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)
    assert "contact_at_vendor" in plan, plan


def test_who_was_looked_for_again_is_not_asked_for_with_each_event(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    vendor = Vendor()
    shop = Shop(till, CASES[0], None, connect_vendor(vendor))
    card = till.member(balance=5)
    member = UUID(till.ids[card])
    shop.tell()
    made = shop.contact(member).vendor_id
    vendor.matches["ada@example.com"] = Match(vendor_id="v9", matched_by="email")
    shop.give_email(member, "ada@example.com")
    shop.tell()
    assert shop.contact(member).stuck == "parked"
    vendor.matches.clear()  # somebody has put it right there
    look_again(connection_id=shop.destination.pk, member_id=member)
    shop.tell()
    contact, asked = shop.contact(member), vendor.asked
    assert (contact.stuck, contact.vendor_id, contact.matched_by) == ("", made, "new")
    till.adjust(card, 3)
    shop.tell()
    assert vendor.asked == asked
