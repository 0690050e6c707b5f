"""Klaviyo's documents: how an event and a profile are written, and how answers are read. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import (
    Change,
    ChangePage,
    Consent,
    Match,
    Outgoing,
    Person,
    Profile,
)
from crm_sync.adapters.naming import flat_properties, title_name
from crm_sync.adapters.outcomes import Ambiguous, Configuration, Delivered, Doubt, Outcome
from crm_sync.adapters.segments import SegmentPage

MEMBER_ID: Final = "loyalty_member_id"
# What is not below `properties` in Klaviyo's profile, and may be written.
OWN_ATTRIBUTES: Final = frozenset(
    {"email", "phone_number", "first_name", "last_name", "organization", "locale", "title"}
)
_OVERLAP: Final = timedelta(seconds=1)  # `updated` is told in seconds


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer of Klaviyo's means."""
    if 200 <= answer.status < 300:
        return Delivered(status_code=answer.status, answer=answer.text)
    errors = _errors(answer)
    said = said_in(errors)
    if answer.status == 410:
        error = f"Klaviyo has retired this API revision; set a newer one. {said}"
        return Configuration(status_code=410, answer=answer.text, error=error)
    duplicate = [(error.get("meta") or {}).get("duplicate_profile_id") for error in errors]
    if answer.status == 409 and any(duplicate):
        return Ambiguous(
            status_code=409,
            answer=answer.text,
            error=f"Several profiles match: {said}",
            reason=Doubt.SEVERAL_MATCHES,
            candidates=tuple(one for one in duplicate if one),
        )
    return classify(answer, said=said)


def _errors(answer: Answer) -> list[dict[str, Any]]:
    try:
        found = answer.json().get("errors") or []
    except (CallFailed, AttributeError):
        return []
    return [error for error in found if isinstance(error, dict)]


def said_in(errors: Sequence[Mapping[str, Any]]) -> str:
    """Give what errors say, for people."""
    return " ".join(str(error.get("detail") or error.get("title") or "") for error in errors)[:400]


def event_document(delivery: Outgoing) -> dict[str, Any]:
    """Write an event as a metric of a person."""
    body = delivery.body
    person = delivery.person or Person(member_id=str(body["member"]))
    identity = _identity(person)
    profile: dict[str, Any] = {"type": "profile", "attributes": identity}
    if person.vendor_id:
        profile["id"] = person.vendor_id
    attributes: dict[str, Any] = {
        "properties": flat_properties(body),
        "time": body["occurred_at"],
        "unique_id": delivery.event_id,
        "metric": {"data": {"type": "metric", "attributes": {"name": title_name(body["type"])}}},
        "profile": {"data": profile},
    }
    if delivery.is_backfill:
        attributes["backfill"] = True
    return {"data": {"type": "event", "attributes": attributes}}


def profile_document(profile: Profile) -> dict[str, Any]:
    """Write a profile; who is known there already is named by Klaviyo's own id."""
    own = {name: value for name, value in profile.fields.items() if name in OWN_ATTRIBUTES}
    late = profile.person.late_identity
    if profile.person.vendor_id and late:
        own = {("phone_number" if n == "phone" else n): v for n, v in late.items()} | own
    properties = {n: v for n, v in profile.fields.items() if n not in OWN_ATTRIBUTES}
    written: dict[str, Any] = {
        "type": "profile",
        "attributes": {**_identity(profile.person), **own, "properties": properties},
    }
    if profile.person.vendor_id:
        written["id"] = profile.person.vendor_id
    return written


def _identity(person: Person) -> dict[str, str]:
    """Name a person whom Klaviyo does not know yet; whom it knows is named by its own id alone.

    So an email that the member changes is not forced upon a profile that another one may have.
    """
    if person.vendor_id:
        return {}
    named = {"external_id": person.member_id, "email": person.email, "phone_number": person.phone}
    return {name: value for name, value in named.items() if value}


def choose(
    person: Person,
    by_external: Mapping[str, Sequence[Mapping[str, Any]]],
    by_email: Mapping[str, Sequence[Mapping[str, Any]]],
    by_phone: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Match:
    """Take the first way in which somebody is found; two, or somebody else's, are in doubt."""
    ways = [("member_id", by_external.get(person.member_id, ()))]
    ways += [("external_id", by_external.get(id_, ())) for id_ in person.external_ids]
    ways += [("email", by_email.get(person.email.lower(), ()))]
    ways += [("phone", by_phone.get(person.phone, ()))]
    for matched_by, listed in ways:
        profiles = [profile for profile in listed if profile["id"] != person.vendor_id]
        if not profiles:
            continue
        ids = tuple(profile["id"] for profile in profiles)
        if len(ids) > 1 or _is_of_another(profiles[0], person):
            return Match(candidates=ids)
        return Match(vendor_id=ids[0], matched_by=matched_by)
    return Match()


def _is_of_another(profile: Mapping[str, Any], person: Person) -> bool:
    attributes = profile["attributes"]
    marked = (attributes.get("properties") or {}).get(MEMBER_ID)
    external = attributes.get("external_id") or ""
    return bool(marked and marked != person.member_id) or (
        _is_uuid(external) and external not in (person.member_id, *person.external_ids)
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def place_of(error: Mapping[str, Any]) -> int:
    """Read which profile of a job an error is about, from its pointer …/profiles/data/7/…"""
    steps = str((error.get("source") or {}).get("pointer") or "").split("/")
    numbers = [int(step) for step in steps if step.isdigit()]
    return numbers[0] if numbers else 0


def fields_in(profile: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Read some fields of a profile."""
    attributes = profile["attributes"]
    properties = attributes.get("properties") or {}
    return {n: attributes.get(n) if n in OWN_ATTRIBUTES else properties.get(n) for n in names}


def change_page(document: Mapping[str, Any], place: Mapping[str, str]) -> ChangePage:
    """Read a page of updated profiles, and from where to read on."""
    profiles = document["data"]
    page = _next_page(document)
    newest = str(profiles[-1]["attributes"].get("updated") or "") if profiles else ""
    if page:
        following = {"since": place.get("since", ""), "page": page}
    elif newest:
        since = datetime.fromisoformat(newest) - _OVERLAP
        following = {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    else:
        following = {"since": place.get("since", "")}
    return ChangePage(
        changes=[_change(profile) for profile in profiles],
        cursor=orjson.dumps({n: v for n, v in following.items() if v}).decode(),
        has_more=bool(page),
    )


def segment_path(segment: str) -> str:
    """Give where a segment is, or a list, which is named by `list:` and its id."""
    kind, _, name = segment.rpartition(":")
    return f"{'lists' if kind else 'segments'}/{name}"


def segment_page(document: Mapping[str, Any]) -> SegmentPage:
    """Read a page of the profiles in a segment."""
    return SegmentPage(
        people=[_person(profile) for profile in document["data"]], page=_next_page(document)
    )


def _person(profile: Mapping[str, Any]) -> Change:
    attributes = profile["attributes"]
    return Change(
        vendor_id=profile["id"],
        member_id=str((attributes.get("properties") or {}).get(MEMBER_ID) or ""),
        email=attributes.get("email") or "",
        fields={},
    )


def _next_page(document: Mapping[str, Any]) -> str:
    link = (document.get("links") or {}).get("next") or ""
    return parse_qs(urlsplit(link).query).get("page[cursor]", [""])[0]


def _change(profile: Mapping[str, Any]) -> Change:
    attributes = profile["attributes"]
    consents = []
    for channel, kinds in (attributes.get("subscriptions") or {}).items():
        marketing = (kinds or {}).get("marketing") or {}
        if channel in ("email", "sms") and marketing:
            consents.append(
                Consent(
                    channel=channel,
                    is_given=marketing.get("consent") == "SUBSCRIBED",
                    changed_at=str(marketing.get("consent_timestamp") or ""),
                )
            )
    return Change(
        vendor_id=profile["id"],
        member_id=str((attributes.get("properties") or {}).get(MEMBER_ID) or ""),
        email=attributes.get("email") or "",
        consents=tuple(consents),
        fields={
            **{n: v for n, v in attributes.items() if isinstance(v, str | int | float)},
            **(attributes.get("properties") or {}),
        },
    )
