"""Segments of the sandbox of Shopify: who is in them is said by tests, and shown page by page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError


def segment_roots(
    segments: Mapping[str, Sequence[Any]], show: Callable[[Any], dict[str, Any]]
) -> dict[str, Callable[..., Any]]:
    """Give the field of queries that shows a segment's customers, under ids of their own."""

    def members(_: Any, segmentId: str, first: int, after: str | None = None) -> Any:
        number = segmentId.rpartition("/")[2]
        if number not in segments:
            raise GraphQLError(
                f"Segment {number} does not exist", extensions={"code": "INVALID_VARIABLE"}
            )
        begin = int(after or 0)
        chosen = segments[number][begin : begin + first]
        has_more = len(segments[number]) > begin + first
        return {
            "edges": [{"node": _member(show(known))} for known in chosen],
            "pageInfo": {"hasNextPage": has_more, "endCursor": str(begin + first)},
        }

    return {"customerSegmentMembers": members}


def _member(customer: Mapping[str, Any]) -> dict[str, Any]:
    number = customer["id"].rpartition("/")[2]
    return {**customer, "id": f"gid://shopify/CustomerSegmentMember/{number}"}
