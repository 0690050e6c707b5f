"""Who is in a list of HubSpot's, which its newer pages call a segment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from crm_sync.adapters.client import Answer, CallFailed
from crm_sync.adapters.contract import Change
from crm_sync.adapters.hubspot_documents import MEMBER_ID, classify_answer, path_of
from crm_sync.adapters.outcomes import Delivered, Permanent
from crm_sync.adapters.segments import SegmentPage

PEOPLE_AT_ONCE: Final = 100  # as many as are read in one call
_READ: Final = (MEMBER_ID, "email")


def list_members(
    get: Callable[[str], Answer],
    read: Callable[[Sequence[str], Sequence[str]], list[Mapping[str, Any]]],
    version: str,
    segment: str,
    page: str,
) -> SegmentPage:
    """List who is in a list; it names only records, so these are read for who they are.

    Args:
        get: Asks for a path.
        read: Reads some properties of contacts; those that are gone are missing.
    """
    query = {"limit": str(PEOPLE_AT_ONCE), **({"after": page} if page else {})}
    try:
        path = f"{path_of(version, 'lists')}/{segment}/memberships"
        answer = get(f"{path}?{urlencode(query)}")
        outcome = classify_answer(answer)
        if answer.status == 404:
            error = f"HubSpot has no list {segment}."
            outcome = Permanent(status_code=404, answer=answer.text, error=error)
        if not isinstance(outcome, Delivered):
            return SegmentPage(page=page, outcome=outcome)
        return _page(answer.json(), read)
    except CallFailed as failed:
        return SegmentPage(page=page, outcome=failed.outcome)


def _page(
    body: Mapping[str, Any],
    read: Callable[[Sequence[str], Sequence[str]], list[Mapping[str, Any]]],
) -> SegmentPage:
    ids = [str(one["recordId"]) for one in body["results"]]
    known = {str(contact["id"]): contact["properties"] for contact in read(ids, _READ)}
    return SegmentPage(
        people=[_person(one, known.get(one) or {}) for one in ids],
        page=str(((body.get("paging") or {}).get("next") or {}).get("after") or ""),
    )


def _person(record: str, properties: Mapping[str, Any]) -> Change:
    return Change(
        vendor_id=record,
        member_id=properties.get(MEMBER_ID) or "",
        email=properties.get("email") or "",
        fields={},
    )
