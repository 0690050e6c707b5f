"""Segment: members as users with traits, events as tracks, for whatever is connected behind it.

Segment says yes to everything and drops what is wrong, so all is looked at before it is sent.

Source: Segment's documents of the HTTP Tracking API and the Profile API.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID, uuid5

import orjson

from crm_sync.adapters.access import Limit, Target
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    check_address,
    classify,
    read_each,
    read_retry_after,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    ConfigRefused,
    Environment,
    Outgoing,
    Person,
    Profile,
    Setting,
)
from crm_sync.adapters.fields import LOYALTY_FIELDS, FieldLimits
from crm_sync.adapters.naming import flat_properties, title_name
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable

VERSION: Final = "v1"  # of both APIs
ADDRESS: Final = "https://api.segment.io"
PROFILES: Final = "https://profiles.segment.com"
CALLS: Final = Limit("calls", calls=450, seconds=1, burst=50)
READS: Final = Limit("profiles", calls=60, seconds=1, burst=20)
MESSAGE_BYTES: Final = 32 * 1024
BATCH_BYTES: Final = 450 * 1024  # of 500 kB, with what is around the messages
_BATCH_MESSAGES: Final = 500
_ID_CHARACTERS: Final = 99
_SPLIT: Final = frozenset({400, 413})
_PASSING: Final = frozenset({410, 460})  # beside those that pass everywhere
_STATES: Final = UUID("0b8c1f0e-3d0f-4c0e-9b59-77b0b1f6a4c2")
# Nothing of what is old reaches a tool that could write to people because of it.
_NOBODY_BEHIND: Final = {"All": False}


class SegmentAdapter:
    """A user is our member id; nobody has to be found."""

    title = "Segment"
    settings = (
        Setting(
            name="write_key",
            label="Write key",
            help="Of an HTTP API source. Segment does not say whether it is right.",
            is_required=True,
            is_secret=True,
        ),
        Setting(
            name="address",
            label="Address of the API",
            help="In the EU https://events.eu1.segmentapis.com; in the wrong region all is lost.",
            default=ADDRESS,
        ),
        Setting(
            name="space_id",
            label="Space id",
            help="Of Unify, if you have it: what Segment knows is then compared each night.",
        ),
        Setting(name="profiles_token", label="Token of the Profile API", is_secret=True),
        Setting(
            name="profiles_address",
            label="Address of the Profile API",
            help="In the EU https://profiles.euw1.segment.com.",
            default=PROFILES,
        ),
        Setting(name="api_version", label="API version", default=VERSION, pattern=r"v[1-9]\d?"),
        Setting(
            name="profiles_version",
            label="API version of the Profile API",
            default=VERSION,
            pattern=r"v[1-9]\d?",
        ),
    )
    batch_size = 50
    bulk_size = _BATCH_MESSAGES
    mixed_size = _BATCH_MESSAGES
    is_signed = False
    default_fields = LOYALTY_FIELDS
    field_limits = FieldLimits(text_characters=8_000, reserved=frozenset({"userId", "anonymousId"}))

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings with their defaults."""
        environment = self._client.environment
        checked = read_settings(self.title, self.settings, config, environment)
        checked["profiles_address"] = checked["profiles_address"].rstrip("/")
        if checked["space_id"]:
            check_address(checked["profiles_address"], environment)
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", checked["space_id"]):
            raise ConfigRefused("A space id is letters, digits and _ -.")
        return checked

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Send a test event that Segment passes on to nobody; read a profile where we may."""
        return timed(partial(self._probe, target, event))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events in one call; Segment keeps the first of each `messageId`.

        Nothing is sent behind a call that failed: a member's events would arrive before it.
        """
        messages = [track(delivery) for delivery in deliveries]
        return self._deliver(target, messages, is_ordered=True)

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Identify each user with their traits."""
        return self._deliver(target, [identify(profile) for profile in profiles])

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Do the same: many are one call, or a few."""
        return self.push(target, profiles)

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these users' traits, which only Unify shows."""
        return read_each(people, lambda person: self._read(target, person.member_id, fields))

    def _probe(self, target: Target, event: Outgoing) -> Outcome:
        if target.config["space_id"]:
            self._read(target, str(event.body.get("member") or event.event_id), ["loyalty_tier"])
        message = {**track(event), "integrations": _NOBODY_BEHIND}
        message.setdefault("userId", "loyalty-connection-test")
        (outcome,) = self._deliver(target, [message])
        return outcome

    def _deliver(
        self, target: Target, messages: Sequence[Mapping[str, Any]], *, is_ordered: bool = False
    ) -> list[Outcome]:
        """Send what is good in as few calls as it takes; say of the others what is wrong.

        Args:
            is_ordered: Stop behind a call that failed, and say nothing of what comes after it.
        """
        outcomes: dict[int, Outcome] = {}
        good = []
        for place, message in enumerate(messages):
            if problem := problem_of(message):
                outcomes[place] = Permanent(error=problem)
            else:
                good.append(place)
        for places in batches(good, [len(orjson.dumps(message)) for message in messages]):
            some = self._post(target, [messages[place] for place in places])
            outcomes |= dict(zip(places, some, strict=True))
            if is_ordered and not _is_through(some):
                break
        told = takewhile(outcomes.__contains__, range(len(messages)))
        return [outcomes[place] for place in told]

    def _post(self, target: Target, batch: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        outcome = timed(partial(self._post_one, target, batch))
        if outcome.status_code in _SPLIT and len(batch) > 1:
            half = len(batch) // 2
            first = self._post(target, batch[:half])
            if not _is_through(first):
                return first + first[-1:] * (len(batch) - half)
            return first + self._post(target, batch[half:])
        if not isinstance(outcome, Delivered):
            return [outcome] * len(batch)
        return [
            Delivered(
                status_code=outcome.status_code,
                answer=outcome.answer,
                duration_ms=outcome.duration_ms,
                vendor_id=str(message["userId"]),
            )
            for message in batch
        ]

    def _post_one(self, target: Target, batch: Sequence[Mapping[str, Any]]) -> Outcome:
        answer = self._client.call(
            target,
            Request(
                method="POST",
                url=f"{target.config['address']}/{target.config['api_version']}/batch",
                headers={
                    "authorization": _basic(target, "write_key"),
                    "content-type": "application/json",
                },
                content=orjson.dumps({"batch": batch}),
                limit=CALLS,
            ),
        )
        outcome = classify_answer(answer)
        if isinstance(outcome, Delivered) and answer.json() != {"success": True}:
            return Retryable(status_code=answer.status, error="This is no answer of Segment's.")
        return outcome

    def _read(
        self, target: Target, user_id: str, fields: Sequence[str]
    ) -> Mapping[str, Any] | None:
        config = target.config
        if not config["space_id"]:
            error = "Segment shows profiles only with Unify: give the space id and its token."
            raise CallFailed(Configuration(error=error))
        user = f"collections/users/profiles/user_id:{quote(user_id, safe='')}"
        query = urlencode({"limit": "200", "include": ",".join(fields)})
        space = f"{config['profiles_version']}/spaces/{config['space_id']}"
        url = f"{config['profiles_address']}/{space}/{user}/traits?{query}"
        headers = {"authorization": _basic(target, "profiles_token")}
        request = Request(method="GET", url=url, headers=headers, limit=READS)
        answer = self._client.call(target, request)
        if answer.status == 404:
            return None
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        traits = answer.json()["traits"]
        return {name: traits.get(name) for name in fields}


def track(delivery: Outgoing) -> dict[str, Any]:
    """Write an event as a track."""
    body = delivery.body
    message = {
        "type": "track",
        "messageId": delivery.event_id,
        "event": title_name(str(body["type"])),
        "properties": flat_properties(body),
    }
    if body.get("member"):
        message["userId"] = str(body["member"])
    if body.get("occurred_at"):
        message["timestamp"] = body["occurred_at"]
    return {**message, "integrations": _NOBODY_BEHIND} if delivery.is_backfill else message


def identify(profile: Profile) -> dict[str, Any]:
    """Write a profile as an identify; the same state has the same id, another state another one.

    One of a backfill goes on to all tools too, or none behind Segment would learn where members
    stand. Its context says what it is, for filters before those that write because of a trait.

    An email or phone that nobody has verified is not told: Unify, and tools behind, know people by
    it, and would take whoever has it for the member.
    """
    named = {"email": profile.person.proven_email, "phone": profile.person.proven_phone}
    given = {name: value for name, value in named.items() if value}
    traits = {**given, **profile.fields}
    state = orjson.dumps([profile.person.member_id, profile.version, traits])
    message = {
        "type": "identify",
        "messageId": f"state_{uuid5(_STATES, state.decode())}",
        "userId": profile.person.member_id,
        "traits": traits,
    }
    return {**message, "context": {"backfill": True}} if profile.is_backfill else message


def problem_of(message: Mapping[str, Any]) -> str:
    """Say why Segment would drop a message; empty if it would not."""
    if not message.get("userId"):
        return "Segment drops what has no user."
    if len(str(message["messageId"])) > _ID_CHARACTERS:
        return f"A message's id has at most {_ID_CHARACTERS} characters at Segment."
    size = len(orjson.dumps(message))
    if size > MESSAGE_BYTES:
        return f"Segment drops messages over {MESSAGE_BYTES // 1024} kB; this has {size} bytes."
    return ""


def _is_through(outcomes: Sequence[Outcome]) -> bool:
    """Say whether Segment has taken, or will never take, each of them."""
    return all(isinstance(outcome, Delivered | Permanent) for outcome in outcomes)


def batches(places: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Put messages into as few calls as Segment's limits allow, in their order."""
    found: list[list[int]] = []
    left = 0
    for place in places:
        if not found or sizes[place] + 1 > left or len(found[-1]) >= _BATCH_MESSAGES:
            found.append([])
            left = BATCH_BYTES
        found[-1].append(place)
        left -= sizes[place] + 1
    return found


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer of Segment's means."""
    reset = read_retry_after(answer.headers.get("x-ratelimit-reset", ""))
    outcome = classify(answer, said=answer.text[:200] if answer.status >= 400 else "")
    if answer.status in _PASSING:
        return Retryable(status_code=answer.status, answer=answer.text, error=outcome.error)
    if answer.status == 429 and not answer.headers.get("retry-after"):
        return classify(answer, retry_after=reset)
    return outcome


def _basic(target: Target, secret: str) -> str:
    key = target.credentials.get(secret)
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()
