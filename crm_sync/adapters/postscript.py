"""Postscript: properties and events of people who have subscribed; it takes nobody from us.

Source: Postscript's published Partner API, v2.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from crm_sync.adapters.access import Limit, SecretMissing, Target
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    classify,
    in_order,
    match_each,
    read_each,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    Change,
    ChangePage,
    Consent,
    Environment,
    Match,
    Outgoing,
    Person,
    Profile,
    Setting,
)
from crm_sync.adapters.fields import LOYALTY_FIELDS, FieldLimits
from crm_sync.adapters.naming import flat_properties, snake_name
from crm_sync.adapters.outcomes import (
    Delivered,
    Outcome,
    Skipped,
    in_doubt,
    several_match,
    unproven_match,
)

VERSION: Final = "v2"
ADDRESS: Final = "https://api.postscript.io"
MEMBER_ID: Final = "loyalty_member_id"
# 15 a second for each token, and no header that says how many are left.
CALLS: Final = Limit("calls", calls=12, seconds=1, burst=3)
_NOT_THERE: Final = "Nobody at Postscript has subscribed with what is known of the member."


class PostscriptAdapter:
    """Subscribers are found by shop customer, email or phone; consent is theirs alone."""

    title = "Postscript"
    settings = (
        Setting(
            name="api_key",
            label="Private API key",
            help="sk_…, of the shop; or a partner's, with the shop's token below.",
            is_required=True,
            is_secret=True,
        ),
        Setting(name="shop_token", label="Shop token, for partners", is_secret=True),
        Setting(name="api_version", label="API version", default=VERSION, pattern=r"v[1-9]\d?"),
        Setting(name="address", label="Address of the API", default=ADDRESS),
    )
    batch_size = 1
    is_signed = False
    old_events = "Old events are not sent: Postscript would write to people."
    default_fields = tuple(
        field for field in LOYALTY_FIELDS if field.attribute not in ("program", "points_pending")
    )
    field_limits = FieldLimits(
        fields=50,
        forms=("text", "integer", "boolean", "date", "datetime"),
        reserved=frozenset({"email", "tags", "subscriptions", "phone_number", "id"}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with their defaults."""
        return read_settings(self.title, self.settings, config, self._client.environment)

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Ask for a subscriber whom nobody is: the key works, and nothing is left behind."""
        query = {"email__eq": "nobody@example.invalid"}
        return timed(lambda: _classified(self._get(target, f"subscribers?{urlencode(query)}")))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one.

        Nothing is written about repeats, and nothing tells Postscript that an event is an old one:
        what was not answered is in doubt, and a backfill's events are left out.
        """
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Update each subscriber's properties."""
        return [timed(partial(self._push_one, target, profile)) for profile in profiles]

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask who has subscribed: by shop customer, email, phone, in this order."""
        return match_each(people, partial(self._match, target))

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these subscribers' properties, one call each."""
        return read_each(people, lambda person: self._read_one(target, person, fields))

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List subscribers that were updated since the cursor, with consent."""
        place = orjson.loads(cursor) if cursor else {}
        page = int(place.get("page", 1))
        query = {"sort": "updated_at__asc", "page": str(page)}
        if since := place.get("since"):
            query["updated_at__gte"] = since
        try:
            answer = self._get(target, f"subscribers?{urlencode(query)}")
            outcome = _classified(answer)
            if not isinstance(outcome, Delivered):
                return ChangePage(changes=[], cursor=cursor, outcome=outcome)
            return _change_page(answer.json(), place, page)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        if delivery.is_backfill:
            return Skipped(error=self.old_events)
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        subscriber = self._subscriber(target, person)
        if isinstance(subscriber, Outcome):
            return subscriber
        body = _event(delivery, subscriber)
        try:
            answer = self._call(target, "POST", "events", orjson.dumps(body))
        except CallFailed as failed:
            return in_doubt(failed.outcome)
        return in_doubt(_classified(answer))

    def _push_one(self, target: Target, profile: Profile) -> Outcome:
        subscriber = self._subscriber(target, profile.person)
        if isinstance(subscriber, Outcome):
            return subscriber
        body = orjson.dumps({"properties": dict(profile.fields)})
        answer = self._call(target, "PATCH", f"subscribers/{quote(subscriber, safe='')}", body)
        outcome = _classified(answer)
        if not isinstance(outcome, Delivered):
            return outcome
        vendor_id = str(answer.json()["id"])
        return Delivered(status_code=answer.status, answer=answer.text, vendor_id=vendor_id)

    def _subscriber(self, target: Target, person: Person) -> str | Outcome:
        """Give the subscriber's id; who was not there yet may have subscribed since."""
        if person.vendor_id:
            return person.vendor_id
        found = self._match(target, person)
        if found.candidates:
            return several_match(found.candidates)
        if found.matched_by in person.unproven:
            return unproven_match(found.matched_by, found.vendor_id)
        heard = 200 if _ways(person) else None
        return found.vendor_id or Skipped(status_code=heard, error=_NOT_THERE)

    def _match(self, target: Target, person: Person) -> Match:
        """Take the first way in which somebody is found; two, or somebody else's, are in doubt."""
        for query, matched_by, value in _ways(person):
            listed = self._find(target, query, value)
            subscribers = [one for one in listed if str(one["id"]) != person.vendor_id]
            if not subscribers:
                continue
            ids = tuple(str(one["id"]) for one in subscribers)
            marked = (subscribers[0].get("properties") or {}).get(MEMBER_ID)
            if len(ids) > 1 or (marked and marked != person.member_id):
                return Match(candidates=ids)
            return Match(vendor_id=ids[0], matched_by="member_id" if marked else matched_by)
        return Match()

    def _find(self, target: Target, query: str, value: str) -> list[Mapping[str, Any]]:
        answer = self._get(target, f"subscribers?{urlencode({query: value})}")
        outcome = _classified(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        return list(answer.json()["subscribers"])

    def _read_one(
        self, target: Target, person: Person, fields: Sequence[str]
    ) -> Mapping[str, Any] | None:
        if not person.vendor_id:
            return None
        answer = self._get(target, f"subscribers/{quote(person.vendor_id, safe='')}")
        if answer.status == 404:
            return None
        outcome = _classified(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        properties = answer.json().get("properties") or {}
        return {name: properties.get(name) for name in fields}

    def _get(self, target: Target, path: str) -> Answer:
        return self._call(target, "GET", path)

    def _call(self, target: Target, method: str, path: str, content: bytes = b"") -> Answer:
        headers = {
            "authorization": f"Bearer {target.credentials.get('api_key')}",
            "accept": "application/json",
        }
        try:
            if token := target.credentials.get("shop_token"):
                headers["x-postscript-shop-token"] = token
        except SecretMissing:
            pass  # only partners have one
        if content:
            headers["content-type"] = "application/json"
        url = f"{target.config['address']}/api/{target.config['api_version']}/{path}"
        request = Request(method=method, url=url, headers=headers, content=content, limit=CALLS)
        return self._client.call(target, request)


def _ways(person: Person) -> list[tuple[str, str, str]]:
    """List what to ask for to find somebody: the query, what it is, and its value."""
    shop_ids = [id_ for id_ in person.external_ids if id_.isascii() and id_.isdigit()]
    ways = [("shopify_customer_id__eq", "external_id", id_) for id_ in shop_ids]
    ways += [("email__eq", "email", person.email), ("phone_number__eq", "phone", person.phone)]
    return [way for way in ways if way[2]]


def _classified(answer: Answer) -> Outcome:
    said = ""
    if answer.status >= 400:
        try:
            body = answer.json()
        except CallFailed:
            body = {}
        if isinstance(body, dict):
            said = str(body.get("message") or body.get("error") or body.get("error_code") or "")
    return classify(answer, said=said[:400])


def _event(delivery: Outgoing, subscriber: str) -> dict[str, Any]:
    at = datetime.fromisoformat(str(delivery.body["occurred_at"])).astimezone(UTC)
    found = flat_properties(delivery.body)
    return {
        "type": snake_name(delivery.body["type"]),
        "subscriber_id": subscriber,
        "occurred_at": at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        # Strings, numbers and booleans are taken; a list is written as one text.
        "properties": {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in found.items()
        },
        "external_id": delivery.event_id,
    }


def _change_page(document: Mapping[str, Any], place: Mapping[str, Any], page: int) -> ChangePage:
    subscribers = document["subscribers"]
    has_more = page < int((document.get("page_info") or {}).get("total_pages") or 1)
    if has_more:
        following = {"since": place.get("since", ""), "page": page + 1}
    else:
        newest = str(subscribers[-1].get("updated_at") or "") if subscribers else ""
        following = {"since": newest or place.get("since", "")}
    return ChangePage(
        changes=[_change(one) for one in subscribers],
        cursor=orjson.dumps({name: value for name, value in following.items() if value}).decode(),
        has_more=has_more,
    )


def _change(subscriber: Mapping[str, Any]) -> Change:
    properties = subscriber.get("properties") or {}
    promotional = (subscriber.get("subscriptions") or {}).get("promotional") or {}
    return Change(
        vendor_id=str(subscriber["id"]),
        member_id=str(properties.get(MEMBER_ID) or ""),
        email=subscriber.get("email") or "",
        # Postscript does not say since when; `updated_at` moves with each of our own pushes.
        consents=(Consent(channel="sms", is_given=promotional.get("can_send") is True),),
        fields=properties,
    )
