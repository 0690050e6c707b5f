"""Redemptions over HTTP: spend points, settle holds, give points back; the catalogue for one member."""

from django.http import HttpRequest, HttpResponse

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import RedemptionNotFound
from loyalty.http.auth import Principal, store_for
from loyalty.http.bodies import parse, read_body
from loyalty.http.ids import decode_id
from loyalty.http.views import Endpoint, json_response
from loyalty.members.api import member_in_path
from loyalty.members.balance_api import HistoryView
from loyalty.rewards import services
from loyalty.rewards.schemas import (
    CaptureRedemption,
    CaptureRequest,
    RedeemRequest,
    RedemptionId,
    ReverseRedemption,
    ReverseRequest,
    VoidRedemption,
    VoidRequest,
)
from loyalty.rewards.selectors import get_redemption, list_rewards_for, redemptions_of, shown


def redeem_payload(principal: Principal, body: RedeemRequest) -> RedeemRequest:
    """Complete the request with the key's store, or refuse its store."""
    body.store = store_for(principal, body.store, pointer="/store")
    return body


def redemption_in_path(text: str) -> RedemptionId:
    """Read the redemption that a path names.

    Raises:
        RedemptionNotFound: It is not the id of any.
    """
    found = decode_id("rdm", text)
    if found is None:
        raise RedemptionNotFound()
    return RedemptionId(*found)


class RedeemView(CommandEndpoint):
    """POST /v1/redeem."""

    scopes = {"POST": ("redeem",)}

    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(RedeemRequest, read_body(request))
        payload = redeem_payload(self.principal, body)
        return self.run(request, services.REDEEM, payload, canonical_body=canonical)


class RedemptionView(Endpoint):
    """GET /v1/redemptions/{redemption}."""

    scopes = {"GET": ("members:read", "redeem")}

    def get(self, request: HttpRequest, redemption: str) -> HttpResponse:
        self.no_query(request)
        named = redemption_in_path(redemption)
        return json_response(get_redemption(self.principal, named.member_id, named.number))


class CaptureView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/capture."""

    scopes = {"POST": ("redeem",)}

    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(CaptureRequest, read_body(request) or b"{}")
        payload = CaptureRedemption(redemption_in_path(redemption), body)
        return self.run(request, services.CAPTURE, payload, canonical_body=canonical)


class VoidView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/void."""

    scopes = {"POST": ("redeem",)}

    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(VoidRequest, read_body(request) or b"{}")
        payload = VoidRedemption(redemption_in_path(redemption), body)
        return self.run(request, services.VOID, payload, canonical_body=canonical)


class ReverseView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/reverse."""

    scopes = {"POST": ("redeem",)}

    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(ReverseRequest, read_body(request))
        payload = ReverseRedemption(redemption_in_path(redemption), body)
        return self.run(request, services.REVERSE, payload, canonical_body=canonical)


class MemberRedemptionsView(HistoryView):
    """GET /v1/members/{member}/redemptions."""

    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        work, rows, cursor = self.page(request, member, redemptions_of)
        items = [shown(work, row[1:]) for row in rows]
        return json_response({"items": items, "next_cursor": cursor})


class MemberRewardsView(Endpoint):
    """GET /v1/members/{member}/rewards."""

    scopes = {"GET": ("members:read",)}

    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        self.no_query(request)
        return json_response({"items": list_rewards_for(self.principal, member_in_path(member))})
