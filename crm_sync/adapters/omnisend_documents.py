"""Omnisend's documents: how an event and a contact are written, and how answers are read. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import Change, Consent, Match, Outgoing, Person, Profile
from crm_sync.adapters.naming import flat_properties, title_name
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Retryable,
)

MEMBER_ID: Final = "loyaltyMemberId"
# What is not below `customProperties` in Omnisend's contact, and may be written.
OWN_ATTRIBUTES: Final = frozenset({"firstName", "lastName", "birthdate", "gender", "city", "state"})


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer of Omnisend's means."""
    if 200 <= answer.status < 300:
        return Delivered(status_code=answer.status, answer=answer.text)
    problem = _problem(answer)
    said = _said(problem)
    if answer.status == 410:
        error = f"Omnisend has retired this API version; set a newer one. {said}"
        return Configuration(status_code=410, answer=answer.text, error=error)
    if answer.status == 409:
        return Ambiguous(
            status_code=409,
            answer=answer.text,
            error=f"Another contact has one of these identifiers: {said}",
            reason=Doubt.SEVERAL_MATCHES,
        )
    seconds = problem.get("retryAfter")
    retry_after = float(seconds) if isinstance(seconds, int | float) else None
    return classify(answer, said=said, retry_after=retry_after)


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except CallFailed:
        return {}
    return found if isinstance(found, dict) else {}


def _said(problem: Mapping[str, Any]) -> str:
    errors = [one for one in problem.get("errors") or [] if isinstance(one, dict)]
    parts = [f"{one.get('field')}: {one.get('message')}" for one in errors]
    return " ".join([str(problem.get("detail") or problem.get("title") or ""), *parts])[:400]


def event_document(delivery: Outgoing, person: Person) -> dict[str, Any]:
    """Write a custom event of a contact."""
    return {
        "eventName": title_name(delivery.body["type"]).lower(),
        "eventID": str(delivery.event_uuid),
        "eventTime": delivery.body["occurred_at"],
        "origin": "api",
        "contact": _contact_of(person),
        "properties": flat_properties(delivery.body),
    }


def _contact_of(person: Person) -> dict[str, str]:
    """Name a contact by one thing alone: a second one would be written into the contact."""
    if person.vendor_id:
        return {"id": person.vendor_id}
    return {"email": person.email} if person.email else {"phone": person.phone}


def contact_document(profile: Profile) -> dict[str, Any]:
    """Write a contact; identifiers only where Omnisend does not know the person, and no consent."""
    written = {n: v for n, v in profile.fields.items() if n in OWN_ATTRIBUTES and v is not None}
    written["customProperties"] = {
        name: value for name, value in profile.fields.items() if name not in OWN_ATTRIBUTES
    }
    if not profile.person.vendor_id:
        given = (("email", profile.person.email), ("phone", profile.person.phone))
        written["identifiers"] = [
            {"type": kind, "id": value, "sendWelcomeMessage": False}
            for kind, value in given
            if value
        ]
        written["tags"] = ["source: loyalty"]
    return written


def choose(
    person: Person,
    by_email: Sequence[Mapping[str, Any]],
    by_phone: Sequence[Mapping[str, Any]],
) -> Match:
    """Take the first way in which somebody is found; two, or somebody else's, are in doubt."""
    for matched_by, contacts in (("email", by_email), ("phone", by_phone)):
        if not contacts:
            continue
        ids = tuple(str(contact["id"]) for contact in contacts)
        marked = (contacts[0].get("customProperties") or {}).get(MEMBER_ID)
        if len(ids) > 1 or (marked and marked != person.member_id):
            return Match(candidates=ids)
        return Match(vendor_id=ids[0], matched_by="member_id" if marked else matched_by)
    return Match()


def batch_outcomes(batch: Mapping[str, Any], member_ids: Sequence[str]) -> list[Outcome]:
    """Say what became of each contact of a batch that has ended.

    Items come back in no promised order, with the request that each was: our id is in it.
    """
    if batch["status"] == "stopped":
        return [Retryable(error="Omnisend stopped the batch.")] * len(member_ids)
    refused = {}
    for item in batch.get("errors") or []:
        sent = (item.get("request") or {}).get("customProperties") or {}
        said = _said(item.get("response") or {})
        error = f"Omnisend answered {item.get('responseCode')}: {said}"[:500]
        refused[str(sent.get(MEMBER_ID))] = Permanent(
            status_code=item.get("responseCode"), error=error
        )
    found: list[Outcome] = [refused.get(one, Delivered()) for one in member_ids]
    if sum(isinstance(one, Permanent) for one in found) < (batch.get("errorsCount") or 0):
        # One that names nobody of ours: each is sent by itself, and has its own answer then.
        unsure = Retryable(error="Omnisend refused some contacts of the batch.")
        return [one if isinstance(one, Permanent) else unsure for one in found]
    return found


def fields_in(contact: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Read some fields of a contact."""
    custom = contact.get("customProperties") or {}
    return {n: contact.get(n) if n in OWN_ATTRIBUTES else custom.get(n) for n in names}


def change_of(contact: Mapping[str, Any]) -> Change:
    """Read what Omnisend owns of a contact: consent, segments, fields and tags."""
    return Change(
        vendor_id=str(contact["id"]),
        member_id=str((contact.get("customProperties") or {}).get(MEMBER_ID) or ""),
        email=contact.get("email") or "",
        consents=tuple(
            Consent(
                channel=one["channel"],
                is_given=one.get("status") == "subscribed",
                changed_at=str(one.get("statusChangedAt") or ""),
            )
            for one in contact.get("statuses") or []
            if one.get("channel") in ("email", "sms")
        ),
        segments=tuple(str(one) for one in contact.get("segments") or []),
        fields={
            **{name: contact[name] for name in OWN_ATTRIBUTES if name in contact},
            "tags": ", ".join(str(tag) for tag in contact.get("tags") or []) or None,
            **(contact.get("customProperties") or {}),
        },
    )
