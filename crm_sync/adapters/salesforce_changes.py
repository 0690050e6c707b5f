"""What has changed at Salesforce: how to ask for it in two streams, and where to go on. Pure.

First the people, then who joined or left a campaign; a cursor remembers a place in each.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from crm_sync.adapters.contract import Change, ChangePage, Consent
from crm_sync.adapters.salesforce_documents import (
    MEMBER_ID,
    Kind,
    is_one_of,
    plain,
    quoted,
    told_at,
)

CHANGES_AT_ONCE: Final = 500
CAMPAIGNS: Final = "campaigns"
# A record counts as changed when it was saved, and is seen when that transaction ends.
_OVERLAP = timedelta(seconds=60)
_ORDER = f"ORDER BY SystemModstamp, Id LIMIT {CHANGES_AT_ONCE}"

Records = Sequence[Mapping[str, Any]]


def changes_query(kind: Kind, place: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Ask who was changed since a place, among those whom we have told our id."""
    columns = ["Id", MEMBER_ID, kind.email, kind.opted_out, "SystemModstamp"]
    wanted = ", ".join(dict.fromkeys([*columns, *fields]))
    return f"SELECT {wanted} FROM {kind.sobject} WHERE {MEMBER_ID} != null{_after(place)} {_ORDER}"


def change_page(
    records: Records,
    kind: Kind,
    place: Mapping[str, Any],
    config: Mapping[str, Any],
    fields: Sequence[str],
) -> ChangePage:
    """Read who was changed, and from where to read on."""
    following = {**_following(records, place), CAMPAIGNS: place.get(CAMPAIGNS) or {}}
    has_more = len(records) == CHANGES_AT_ONCE
    if not has_more and config["campaigns"] == "yes":
        following["stream"] = CAMPAIGNS
    return ChangePage(
        changes=[_change(record, kind, fields) for record in records],
        cursor=_written(following),
        has_more=has_more or "stream" in following,
    )


def campaign_changes_query(kind: Kind, place: Mapping[str, Any]) -> str:
    """Ask who joined or left a campaign since a place, among those whom we have told our id."""
    condition = f"{kind.joins_as}.{MEMBER_ID} != null{_after(place)}"
    return f"SELECT Id, {kind.joins}, SystemModstamp FROM CampaignMember WHERE {condition} {_ORDER}"


def campaigns_query(kind: Kind, ids: Sequence[str]) -> str:
    """Ask for all campaigns that people are in."""
    among = is_one_of(kind.joins, ids)
    return f"SELECT {kind.joins}, Campaign.Name FROM CampaignMember WHERE {among}"


def campaign_page(
    names: Mapping[str, Sequence[str]], changed: Records, place: Mapping[str, Any]
) -> ChangePage:
    """Read who is in which campaigns, and from where to read on."""
    has_more = len(changed) == CHANGES_AT_ONCE
    following = {**place, CAMPAIGNS: _following(changed, place.get(CAMPAIGNS) or {})}
    if not has_more:
        following.pop("stream", None)
    return ChangePage(
        changes=[
            Change(vendor_id=one, segments=tuple(sorted(found)), fields={})
            for one, found in names.items()
        ],
        cursor=_written(following),
        has_more=has_more,
    )


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """Read a value, also one of a related record: Campaign.Name."""
    found: Any = record
    for step in name.split("."):
        found = (found or {}).get(step)
    return found


def _after(place: Mapping[str, Any]) -> str:
    since, after = place.get("since"), place.get("id")
    if since and after:
        later = f"SystemModstamp = {since} AND Id > {quoted(after)}"
        return f" AND (SystemModstamp > {since} OR ({later}))"
    return f" AND SystemModstamp >= {since}" if since else ""


def _following(records: Records, place: Mapping[str, Any]) -> dict[str, Any]:
    """Give the place behind what was read; a little before it, if that was all."""
    if not records:
        return {name: place[name] for name in ("since", "id") if name in place}
    newest = plain(records[-1]["SystemModstamp"])
    if len(records) == CHANGES_AT_ONCE:
        return {"since": newest, "id": records[-1]["Id"]}
    return {"since": told_at((datetime.fromisoformat(newest) - _OVERLAP).isoformat())}


def _written(place: Mapping[str, Any]) -> str:
    return orjson.dumps({name: value for name, value in place.items() if value}).decode()


def _change(record: Mapping[str, Any], kind: Kind, fields: Sequence[str]) -> Change:
    return Change(
        vendor_id=record["Id"],
        member_id=record[MEMBER_ID],
        email=record.get(kind.email) or "",
        consents=(Consent(channel="email", is_given=not record.get(kind.opted_out)),),
        fields={name: plain(record.get(name)) for name in fields},
    )
