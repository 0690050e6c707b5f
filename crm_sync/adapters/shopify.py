"""Shopify: where a member stands as metafields of the customer, rewards as store credit.

Shopify keeps no events: the newest one is a metafield too. Consent is only read.

Source: the schema of Shopify's Admin GraphQL API, 2026-10.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from crm_sync.adapters import shopify_credit, shopify_orders
from crm_sync.adapters.access import Limit, Target, Token
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    classify,
    in_order,
    parse_url,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    ChangePage,
    ConfigRefused,
    Environment,
    Match,
    OrderPage,
    OrderTold,
    Outgoing,
    Person,
    Profile,
    Setting,
)
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Skipped
from crm_sync.adapters.shopify_documents import (
    CHANGES,
    MEMBER_ID,
    PROBE,
    READ,
    body_of,
    change_page,
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

VERSION: Final = "2026-10"
NAMESPACE: Final = "$app:loyalty"
POINTS_PER_SECOND: Final = "100"  # the smallest plan's
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
    settings = (
        Setting(
            name="address",
            label="Address of the shop",
            help="https://….myshopify.com, not the shop's own domain.",
            is_required=True,
        ),
        Setting(
            name="client_id",
            label="Client id",
            help="Of the app, for tokens that end after a day. Empty: the access token below.",
        ),
        Setting(name="client_secret", label="Client secret", is_secret=True),
        Setting(
            name="access_token",
            label="Access token",
            help="shpat_…, of a custom app, with read_customers and write_customers.",
            is_secret=True,
        ),
        Setting(name="api_version", label="API version", default=VERSION),
        Setting(
            name="namespace",
            label="Namespace of the metafields",
            help="$app:… belongs to the app; others can be written by everybody.",
            default=NAMESPACE,
        ),
        Setting(
            name="points_per_second",
            label="Query points a second",
            help="As the shop's plan has them: 100, 200, 1000 or 2000.",
            default=POINTS_PER_SECOND,
        ),
        Setting(
            name="store_credit",
            label="Book rewards of store credit (yes or no)",
            help="Needs read_ and write_store_credit_account_transactions.",
            default="no",
        ),
    )
    batch_size = 1
    bulk_size = _PEOPLE_AT_ONCE
    is_signed = False
    default_fields = (
        Field("member_id", MEMBER_ID, "text"),
        Field("program", "program", "text"),
        Field("status", "status", "text"),
        Field("enrolled_at", "enrolled_at", "datetime"),
        Field("tier", "tier", "text"),
        Field("tier_since", "tier_since", "datetime"),
        Field("points_available", "points_balance", "integer"),
        Field("points_pending", "points_pending", "integer"),
        Field("points_lifetime", "lifetime_points", "integer"),
        Field("points_expiring", "points_expiring", "integer"),
        Field("points_expire_on", "points_expire_on", "date"),
        Field("last_redeemed_at", "last_redemption_at", "datetime"),
        Field("state_version", "state_version", "integer"),
    )
    field_limits = FieldLimits(
        name_pattern=r"[A-Za-z0-9_-]{2,64}",
        name_hint="2 to 64 letters, digits and _ -",
        name_characters=64,
        text_characters=5_000,
        fields=25,  # what metafieldsSet writes at once, all or nothing
        reserved=frozenset({"last_event", shopify_credit.BOOK}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings with their defaults."""
        environment = self._client.environment
        checked = read_settings(self.title, self.settings, config, environment)
        host = parse_url(checked["address"], environment).host
        if not environment.allow_private_addresses and not host.endswith(".myshopify.com"):
            raise ConfigRefused("The address is the shop's https://….myshopify.com.")
        for name, (pattern, hint) in _PATTERNS.items():
            if re.fullmatch(pattern, checked[name]) is None:
                raise ConfigRefused(f"{name} is {hint}.")
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

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Do the same: many customers in one call are cheaper, and each has its own outcome."""
        return self.push(target, profiles)

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

    def list_changes(self, target: Target, cursor: str) -> ChangePage:
        """List customers that were updated since the cursor, with consent."""
        place = orjson.loads(cursor) if cursor else {}
        since = place.get("since")
        given = {
            "after": place.get("page"),
            "query": f"updated_at:>='{since}'" if since else None,
            "namespace": target.config["namespace"],
            "key": MEMBER_ID,
        }
        try:
            return change_page(self._ask(target, CHANGES, given, LIST_COST)["customers"], place)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def list_orders(self, target: Target, begin: datetime, end: datetime, page: str) -> OrderPage:
        """List which orders changed."""
        return shopify_orders.list_orders(partial(self._ask, target), begin, end, page)

    def read_order(self, target: Target, ref: str) -> OrderTold | Outcome | None:
        """Read an order as `orders/updated` would have told of it."""
        return shopify_orders.read_order(partial(self._ask, target), ref)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        customer = person.vendor_id or self._join(target, [person])[0]
        if isinstance(customer, Outcome):
            return customer
        notice = ""
        booking = shopify_credit.booking_in(delivery)
        if booking is not None and target.config["store_credit"] == "yes":
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
            joined = self._join(target, [profile.person for profile in profiles])
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
        config = target.config
        # Shopify's bucket holds twenty seconds of points; half of it may go at once.
        rate = int(config["points_per_second"])
        limit = Limit("points", calls=rate, seconds=1.0, burst=10 * rate)
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


_PATTERNS: Final = {
    "api_version": (r"\d{4}-\d{2}", f"a version like {VERSION}"),
    "namespace": (r"(\$app(:[A-Za-z0-9_-]{1,64})?|[A-Za-z0-9_-]{3,64})", "like $app:loyalty"),
    "points_per_second": (r"[1-9]\d{1,4}", "a number, as the shop's plan has it"),
    "store_credit": (r"yes|no", "yes or no"),
}
_NOBODY: Final = Skipped(
    error="Shopify does not know the member, and makes no customer without email or phone number."
)
