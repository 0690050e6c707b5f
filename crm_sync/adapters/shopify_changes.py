"""What Shopify owns of customers: consent, fields and segments; how it is asked and read. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from crm_sync.adapters.contract import Change, ChangePage, Consent
from crm_sync.adapters.segments import SegmentPage
from crm_sync.adapters.shopify_documents import MEMBER_ID, Document, read_value

# What is no metafield of a customer's, and may be mapped as the shop's.
OWN: Final = ("firstName", "lastName", "locale", "tags")
THEIR_PATTERN: Final = r"([A-Za-z0-9_:$-]{3,255}\.)?[A-Za-z0-9_-]{2,64}"
THEIR_HINT: Final = f"a metafield as namespace.key, such as custom.shoe_size, or {', '.join(OWN)}"
_MOST: Final = 100
_OBJECTS: Final = 500  # a call may ask for a thousand; each metafield is one more of each customer
_OF_EACH: Final = 5
_MEMBERS: Final = """
query Members($segment: ID!, $after: String, $namespace: String!, $key: String!) {
  customerSegmentMembers(segmentId: $segment, first: 100, after: $after) {
    edges {
      node {
        id
        defaultEmailAddress { emailAddress }
        metafield(namespace: $namespace, key: $key) { value }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
_CHANGES: Final = """
query Changes($first: Int!, $after: String, $query: String, $namespace: String!, $key: String!%s) {
  customers(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id
      updatedAt
      defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
      defaultPhoneNumber { smsMarketingConsent { state updatedAt } }
      metafield(namespace: $namespace, key: $key) { value }%s
    }
    pageInfo { hasNextPage endCursor }
  }
}"""


def changes_document(place: Mapping[str, str], fields: Sequence[str], namespace: str) -> Document:
    """Ask for customers that were updated since a time, with fields of the shop's own."""
    metafields = [name for name in fields if name not in OWN]
    declared = "".join(f", $n{n}: String!, $k{n}: String!" for n in range(len(metafields)))
    asked = [name for name in OWN if name in fields]
    asked += [
        f"f{n}: metafield(namespace: $n{n}, key: $k{n}) {{ type value }}"
        for n in range(len(metafields))
    ]
    since = place.get("since")
    given: dict[str, Any] = {
        "first": max(10, min(_MOST, _OBJECTS // (_OF_EACH + len(metafields)))),
        "after": place.get("page"),
        "query": f"updated_at:>='{since}'" if since else None,
        "namespace": namespace,
        "key": MEMBER_ID,
    }
    for number, name in enumerate(metafields):
        theirs, _, key = name.rpartition(".")
        given |= {f"n{number}": theirs or namespace, f"k{number}": key}
    return _CHANGES % (declared, "".join(f"\n      {one}" for one in asked)), given


def change_page(
    customers: Mapping[str, Any], place: Mapping[str, str], fields: Sequence[str]
) -> ChangePage:
    """Read a page of updated customers, and from where to read on."""
    nodes, info = customers["nodes"], customers["pageInfo"]
    following = {"since": place.get("since")}
    if info["hasNextPage"]:
        following["page"] = info["endCursor"]
    elif nodes:
        following["since"] = nodes[-1]["updatedAt"]  # these again: they may be of one second
    return ChangePage(
        changes=[_change(node, fields) for node in nodes],
        cursor=orjson.dumps({name: value for name, value in following.items() if value}).decode(),
        has_more=bool(info["hasNextPage"]),
    )


def members_document(segment: str, page: str, namespace: str) -> Document:
    """Ask who is in a segment; its number is enough of a name."""
    number = segment.rpartition("/")[2]
    return _MEMBERS, {
        "segment": f"gid://shopify/Segment/{number}",
        "after": page or None,
        "namespace": namespace,
        "key": MEMBER_ID,
    }


def segment_page(found: Mapping[str, Any]) -> SegmentPage:
    """Read a page of a segment's customers, whose ids are written as the segment's there."""
    info = found["pageInfo"]
    return SegmentPage(
        people=[_person(edge["node"]) for edge in found["edges"]],
        page=str(info["endCursor"]) if info["hasNextPage"] else "",
    )


def _person(node: Mapping[str, Any]) -> Change:
    return Change(
        vendor_id=f"gid://shopify/Customer/{node['id'].rpartition('/')[2]}",
        member_id=(node["metafield"] or {}).get("value") or "",
        email=(node["defaultEmailAddress"] or {}).get("emailAddress") or "",
        fields={},
    )


def _change(node: Mapping[str, Any], fields: Sequence[str]) -> Change:
    email = node["defaultEmailAddress"] or {}
    sms = (node["defaultPhoneNumber"] or {}).get("smsMarketingConsent") or {}
    told = (
        ("email", email.get("marketingState"), email.get("marketingUpdatedAt")),
        ("sms", sms.get("state"), sms.get("updatedAt")),
    )
    return Change(
        vendor_id=node["id"],
        member_id=(node["metafield"] or {}).get("value") or "",
        email=email.get("emailAddress") or "",
        consents=tuple(
            Consent(channel=channel, is_given=state == "SUBSCRIBED", changed_at=at or "")
            for channel, state, at in told
            if state
        ),
        fields=_fields(node, fields),
    )


def _fields(node: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    metafields = [name for name in fields if name not in OWN]
    found: dict[str, Any] = {}
    for name in fields:
        if name in OWN:
            value = node[name]
            found[name] = (", ".join(value) if isinstance(value, list) else value) or None
        else:
            told = node[f"f{metafields.index(name)}"]
            found[name] = read_value(told["type"], told["value"]) if told else None
    return found
