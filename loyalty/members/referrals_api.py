"""Whom a member brought, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from loyalty.engine.look import look
from loyalty.errors import MemberNotFound
from loyalty.http.fields import LATEST
from loyalty.http.pagination import Page, decode_cursor, encode_cursor
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.members.answers import FriendPage
from loyalty.members.api import MEMBER, member_in_path
from loyalty.referrals.rows import friends_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST: Final = UUID(int=2**128 - 1)


class ReferralsView(Endpoint):
    """GET /v1/members/{member}/referrals."""

    scopes = {"GET": ("members:read",)}

    @operation(
        "list_referrals",
        "List whom the member brought, and what came of it",
        tag="Members",
        path=MEMBER,
        query=Page,
        answers={200: FriendPage},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        ref = member_in_path(member)
        page = self.query(request, Page)
        scope = f"{self.principal.program_id} {request.path}"
        joined_by, before = _place(scope, page.cursor) if page.cursor else (LATEST, _LAST)
        question = friends_of(ref, joined_by=joined_by, before=before, most=page.limit + 1)
        session, _ = look(self.principal, ref, [question])
        rows = session.found(question)
        shown = rows[: page.limit]
        cursor = _cursor(scope, shown[-1]) if len(rows) > page.limit else None
        return json_response({"items": [_friend(row) for row in shown], "next_cursor": cursor})


def _place(scope: str, cursor: str) -> tuple[datetime, UUID]:
    microseconds, friend = decode_cursor(scope, cursor)
    return _EPOCH + microseconds * _MICROSECOND, UUID(friend)


def _cursor(scope: str, row: tuple[Any, ...]) -> str:
    """Write who stands last; as a number and without dashes, or a cursor would be too long."""
    friend, _, joined_at = row[:3]
    return encode_cursor(scope, [(joined_at - _EPOCH) // _MICROSECOND, friend.hex])


def _friend(row: tuple[Any, ...]) -> dict[str, Any]:
    friend, state, joined_at, changed_at, points, is_due = row
    return {
        "member": friend,
        "state": state,
        "points": points,
        "due": is_due,
        "joined_at": joined_at,
        "changed_at": changed_at,
    }
