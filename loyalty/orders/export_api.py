"""Everything that is held on a person, over HTTP: here, since orders and rewards belong to it."""

from collections.abc import Iterator
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from loyalty.errors import MemberNotFound, ValidationFailed
from loyalty.events.models import OutboxEvent
from loyalty.http.auth import Principal
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint
from loyalty.members.answers import ExportAnswer
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.export import export_member
from loyalty.members.identifiers import MemberRef
from loyalty.orders.models import Order
from loyalty.rewards.models import Redemption

TABLES: Final[dict[str, type[Model]]] = {
    "orders": Order,
    "redemptions": Redemption,
    "events": OutboxEvent,
}


def export_of(principal: Principal, ref: MemberRef) -> Iterator[bytes]:
    """Give all that is held on a person, as JSON in pieces.

    Raises:
        MemberNotFound: This program has no such member.
    """
    return export_member(principal, ref, TABLES)


class ExportView(Endpoint):
    """GET /v1/members/{member}/export."""

    scopes = {"GET": ("members:read",)}

    @operation(
        "export_member",
        "Export all that is held on a member",
        tag="Members",
        path=MEMBER,
        answers={200: ExportAnswer},
        errors=[MemberNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        self.no_query(request)
        pieces = export_of(self.principal, member_in_path(member))
        response: Any = StreamingHttpResponse(pieces, content_type="application/json")
        sent: HttpResponse = response
        return sent
