"""Shopify: where a member stands as metafields of the customer, rewards as store credit.

Shopify keeps no events: the newest one is a metafield too. Consent is only read.

Source: the schema of Shopify's Admin GraphQL API, 2026-10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from crm_sync.adapters import shopify_bulk, shopify_credit, shopify_orders
from crm_sync.adapters.access import Limit, Target, Token
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    classify,
    in_order,
    parse_url,
    prepaid,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    ChangePage,
    ConfigRefused,
    Environment,
    JobReport,
    Match,
    Outgoing,
    Person,
    Profile,
    Submitted,
)
from crm_sync.adapters.orders import OrderPage, OrderTold
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Skipped
from crm_sync.adapters.segments import SegmentPage
from crm_sync.adapters.shopify_changes import (
    change_page,
    changes_document,
    members_document,
    segment_page,
)
from crm_sync.adapters.shopify_documents import (
    MEMBER_ID,
    PROBE,
    READ,
    body_of,
    changes_of,
    choose,
    data_of,
    fields_in,
    find_document,
    identifier,
    join_document,
    joined_in,
    last_event,
    lookups,
    probed,
    seconds_to_wait,
    tell_document,
    told_in,
)
from crm_sync.adapters.shopify_settings import (
    DEFAULT_FIELDS,
    FIELD_LIMITS,
    SETTINGS,
    refuse_settings,
)

RESERVE: Final = 200  # points that are left to whatever else calls with the same app
MUTATION_COST: Final = 10
LOOKUP_COST: Final = 2
READ_COST: Final = 5
LIST_COST: Final = 60
_PEOPLE_AT_ONCE: Final = 20
_TOKEN_HEADER: Final = "x-shopify-access-token"


class ShopifyAdapter:
    """Customers are found by customer number, email, phone; who is found by none is made."""

    title = "Shopify"
    settings = SETTINGS
    batch_size = 1
    bulk_size = 60  # whom a full bucket of points finds and makes customers
    tells_one_address = True
    segment_pattern = r"(gid://shopify/Segment/)?[0-9]{1,20}"
    segment_hint = "the number at the end of the segment's address in the shop's admin"
    is_signed = False
    default_fields = DEFAULT_FIELDS
    field_limits = FIELD_LIMITS

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings with their defaults."""
        environment = self._client.environment
        checked = read_settings(self.title, self.settings, config, environment)
        host = parse_url(checked["address"], environment).host
        if not environment.allow_private_addresses and not host.endswith(".myshopify.com"):
            raise ConfigRefused("The address is the shop's https://….myshopify.com.")
        refuse_settings(checked)
        return checked

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Read the shop's name and the app's scopes: nothing is left behind."""
        return timed(lambda: probed(self._ask(target, PROBE, {}, LOOKUP_COST), target.config))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Write each event over the one before it; book what it gives as store credit."""
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Write each customer's metafields, all of a customer's or none."""
        outcomes: list[Outcome] = []
        for first in range(0, len(profiles), _PEOPLE_AT_ONCE):
            outcomes += self._push_some(target, profiles[first : first + _PEOPLE_AT_ONCE])
        return outcomes

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Start a bulk operation, unless they are few; who is no customer yet becomes one first."""
        if len(profiles) <= _PEOPLE_AT_ONCE:
            return self.push(target, profiles)
        joined = self._join_many(target, [profile.person for profile in profiles])
        ids = {place: one for place, one in enumerate(joined) if isinstance(one, str)}
        settled = {place: one for place, one in enumerate(joined) if isinstance(one, Outcome)}
        if not ids:
            return list(settled.values())
        known = [
            replace(profiles[place], person=replace(profiles[place].person, vendor_id=customer))
            for place, customer in ids.items()
        ]
        try:
            ask, call = partial(self._ask, target), partial(self._client.call, target)
            job = shopify_bulk.submit(ask, call, known, target.config["namespace"])
            return Submitted(job_id=job, settled=settled, made=ids)
        except shopify_bulk.Refused:
            outcomes = self.push(target, known)
        except CallFailed as failed:
            outcomes = [failed.outcome] * len(known)
        found = settled | dict(zip(ids, outcomes, strict=True))
        return [found[place] for place in range(len(profiles))]

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far an operation is; when it has ended, read the file of its results."""
        try:
            call = partial(self._client.call, target)
            return shopify_bulk.report(partial(self._ask, target), call, job_id, len(member_ids))
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask whom Shopify knows by customer number, email and phone."""
        matches: list[Match] = []
        try:
            for first in range(0, len(people), _PEOPLE_AT_ONCE):
                some = people[first : first + _PEOPLE_AT_ONCE]
                found = self._look_up(target, lookups(some))
                matches += [choose(person, place, found) for place, person in enumerate(some)]
        except CallFailed as failed:
            matches += [Match(outcome=failed.outcome)] * (len(people) - len(matches))
        return matches

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these customers' metafields."""
        ids = [person.vendor_id for person in people if person.vendor_id]
        found: dict[str, Any] = {}
        try:
            for first in range(0, len(ids), _PEOPLE_AT_ONCE):
                some = ids[first : first + _PEOPLE_AT_ONCE]
                given = {"ids": some, "namespace": target.config["namespace"]}
                data = self._ask(target, READ, given, READ_COST * len(some))
                found |= {node["id"]: node for node in data["nodes"] if node}
        except CallFailed as failed:
            return failed.outcome
        return [
            fields_in(found[one.vendor_id], fields) if one.vendor_id in found else None
            for one in people
        ]

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List customers that were updated since the cursor, with consent and fields."""
        place = orjson.loads(cursor) if cursor else {}
        document, given = changes_document(place, fields, target.config["namespace"])
        try:
            found = self._ask(target, document, given, LIST_COST)
            return change_page(found["customers"], place, fields)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def list_segment(self, target: Target, segment: str, page: str) -> SegmentPage:
        """List which customers are in a segment."""
        document, given = members_document(segment, page, target.config["namespace"])
        try:
            found = self._ask(target, document, given, LIST_COST)
            return segment_page(found["customerSegmentMembers"])
        except CallFailed as failed:
            return SegmentPage(page=page, outcome=failed.outcome)

    def list_orders(self, target: Target, begin: datetime, end: datetime, page: str) -> OrderPage:
        """List which orders changed."""
        return shopify_orders.list_orders(partial(self._ask, target), begin, end, page)

    def read_order(self, target: Target, ref: str) -> OrderTold | Outcome | None:
        """Read an order as `orders/updated` would have told of it."""
        return shopify_orders.read_order(partial(self._ask, target), ref)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        may_book = target.config["store_credit"] == "yes"
        booking = shopify_credit.booking_in(delivery) if may_book else None
        cost = MUTATION_COST + (shopify_credit.COST if booking is not None else 0)
        target = _with_leave(target, [person], cost)
        customer = person.vendor_id or self._join(target, [person])[0]
        if isinstance(customer, Outcome):
            return customer
        notice = ""
        if booking is not None:
            booked = shopify_credit.book(
                partial(self._ask, target), target.config["namespace"], customer, delivery, booking
            )
            if not isinstance(booked, Delivered):
                return booked
            notice = booked.notice
        event = last_event(delivery, customer, target.config["namespace"])
        document, given = tell_document([event])
        outcome = told_in(self._ask(target, document, given, MUTATION_COST), 0, customer)
        return replace(outcome, notice=notice)

    def _push_some(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        try:
            people = [profile.person for profile in profiles]
            target = _with_leave(target, people, _cost_to_tell(profiles))
            joined = self._join(target, people)
            known = [
                (profile, customer)
                for profile, customer in zip(profiles, joined, strict=True)
                if isinstance(customer, str)
            ]
            told = iter(self._tell(target, known) if known else [])
            return [next(told) if isinstance(one, str) else one for one in joined]
        except CallFailed as failed:
            return [failed.outcome] * len(profiles)

    def _tell(self, target: Target, known: Sequence[tuple[Profile, str]]) -> list[Outcome]:
        namespace = target.config["namespace"]
        document, given = tell_document([changes_of(*one, namespace) for one in known])
        data = self._ask(target, document, given, MUTATION_COST * len(given))
        return [told_in(data, place, customer) for place, (_, customer) in enumerate(known)]

    def _join(self, target: Target, people: Sequence[Person]) -> list[str | Outcome]:
        """Give each one's id at Shopify; those who have none become customers."""
        new = {place: person for place, person in enumerate(people) if not person.vendor_id}
        wanted = {place: identifier(person) for place, person in new.items()}
        named = {place: given for place, given in wanted.items() if given}
        found: dict[int, str | Outcome] = dict.fromkeys(new, _NOBODY)
        if named:
            document, given = join_document(named)
            data = self._ask(target, document, given, MUTATION_COST * len(named))
            found |= {place: joined_in(data, place) for place in named}
        return [found.get(place, person.vendor_id) for place, person in enumerate(people)]

    def _join_many(self, target: Target, people: Sequence[Person]) -> list[str | Outcome]:
        """Do the same for many; after a call that failed nobody else is asked for."""
        joined: list[str | Outcome] = []
        try:
            for first in range(0, len(people), _PEOPLE_AT_ONCE):
                joined += self._join(target, people[first : first + _PEOPLE_AT_ONCE])
        except CallFailed as failed:
            joined += [one.vendor_id or failed.outcome for one in people[len(joined) :]]
        return joined

    def _look_up(self, target: Target, wanted: Mapping[str, Any]) -> dict[str, Any]:
        if not wanted:
            return {}
        document, given = find_document(wanted)
        given |= {"namespace": target.config["namespace"], "key": MEMBER_ID}
        return self._ask(target, document, given, LOOKUP_COST * len(wanted))

    def _ask(
        self, target: Target, document: str, given: Mapping[str, Any], cost: int
    ) -> dict[str, Any]:
        """Have a document executed; give its data.

        Raises:
            CallFailed: There is none.
        """
        config, limit = target.config, _limit(target)
        request = Request(
            method="POST",
            url=f"{config['address']}/admin/api/{config['api_version']}/graphql.json",
            headers={"content-type": "application/json", "accept": "application/json"},
            content=orjson.dumps({"query": document, "variables": given}),
            limit=limit,
            units=cost,
        )
        body = body_of(self._authorised(target, request))
        if (seconds := seconds_to_wait(body, RESERVE)) > 0:
            target.throttle.hold(limit, seconds)
        return data_of(body)

    def _authorised(self, target: Target, request: Request) -> Answer:
        if target.config.get("client_id"):
            return self._client.call_with_token(
                target, request, partial(self._obtain, target), header=_TOKEN_HEADER, prefix=""
            )
        token = target.credentials.get("access_token")
        return self._client.call(target, request.with_header(_TOKEN_HEADER, token))

    def _obtain(self, target: Target) -> Token:
        """Get a token for a day, as apps do that belong to the shop's own organisation."""
        form = {
            "grant_type": "client_credentials",
            "client_id": target.config["client_id"],
            "client_secret": target.credentials.get("client_secret"),
        }
        answer = self._client.call(
            target,
            Request(
                method="POST",
                url=f"{target.config['address']}/admin/oauth/access_token",
                headers={
                    "content-type": "application/x-www-form-urlencoded",
                    "accept": "application/json",
                },
                content=urlencode(form).encode(),
            ),
        )
        outcome = classify(answer, said=answer.text[:200])
        if isinstance(outcome, Permanent):
            error = f"Shopify gives no token for this client id and secret: {answer.text[:200]}"
            outcome = Configuration(status_code=answer.status, answer=answer.text, error=error)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        given = answer.json()
        return Token(
            access_token=given["access_token"], seconds=float(given.get("expires_in") or 3600)
        )


def _with_leave(target: Target, people: Sequence[Person], cost: int) -> Target:
    """Take leave to make customers of those who are none, and for what follows.

    Raises:
        CallFailed: Not yet.
    """
    new = sum(1 for one in people if not one.vendor_id and identifier(one))
    return prepaid(target, _limit(target), MUTATION_COST * new + cost)


def _cost_to_tell(profiles: Sequence[Profile]) -> int:
    changes = [changes_of(profile, "", "") for profile in profiles]
    return MUTATION_COST * sum(bool(part) for change in changes for part in change)


def _limit(target: Target) -> Limit:
    """Give the limit: the bucket holds twenty seconds of points, half of it may go at once."""
    rate = int(target.config["points_per_second"])
    return Limit("points", calls=rate, seconds=1.0, burst=10 * rate)


_NOBODY: Final = Skipped(
    error="Shopify does not know the member, and makes no customer without email or phone number."
)
