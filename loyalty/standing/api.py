"""A member's tier over HTTP: where they stand, how they came there, and a level by hand."""

from django.http import HttpRequest, HttpResponse

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import (
    MemberNotActive,
    MemberNotFound,
    NotFound,
    TierIsEarned,
    TierNotAssigned,
    ValidationFailed,
)
from loyalty.http.bodies import parse, read_body
from loyalty.http.pagination import Page
from loyalty.http.schema import operation
from loyalty.http.views import json_response
from loyalty.members.answers import Tier
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.balance_api import HistoryView
from loyalty.standing import selectors, services
from loyalty.standing.answers import TierHistory
from loyalty.standing.schemas import AssignLevel, AssignRequest


class TierView(CommandEndpoint):
    """GET and POST /v1/members/{member}/tier."""

    scopes = {"GET": ("members:read",), "POST": ("members:write",)}

    @operation(
        "get_tier",
        "Read a member's tier, and what it takes to rise and to stay",
        tag="Tiers",
        path=MEMBER,
        answers={200: Tier},
        errors=[MemberNotFound, NotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        self.no_query(request)
        return json_response(selectors.tier_of(self.principal, member_in_path(member)))

    @operation(
        "assign_tier",
        "Assign a level by hand, or take it back",
        tag="Tiers",
        path=MEMBER,
        request=AssignRequest,
        example={"level": "gold", "until": "2099-12-31", "reason": "transferred from a partner"},
        answers={200: Tier},
        errors=[MemberNotFound, MemberNotActive, TierIsEarned, TierNotAssigned],
        key=True,
    )
    def post(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(AssignRequest, read_body(request))
        payload = AssignLevel(member_in_path(member), body)
        return self.run(request, services.ASSIGN, payload, canonical_body=canonical)


class TierHistoryView(HistoryView):
    """GET /v1/members/{member}/tier/history."""

    @operation(
        "list_tier_history",
        "Read a member's tier history",
        tag="Tiers",
        path=MEMBER,
        query=Page,
        answers={200: TierHistory},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        work, rows, cursor = self.page(request, member, selectors.history_of)
        items = [selectors.history_item(work, row) for row in rows]
        return json_response({"items": items, "next_cursor": cursor})
