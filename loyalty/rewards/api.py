"""Redemptions over HTTP: spend, settle, give back; and the catalogue for one member."""

from typing import Final

from django.http import HttpRequest, HttpResponse

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import (
    AlreadyReversed,
    CaptureExceedsHold,
    FulfilmentConflict,
    HoldExpired,
    HoldNotOpen,
    InsufficientPoints,
    MemberFrozen,
    MemberNotActive,
    MemberNotFound,
    PaymentNotAllowed,
    RedemptionConflict,
    RedemptionNotFound,
    ReversalExceedsOriginal,
    RewardLimitReached,
    RewardNotAvailable,
    RewardNotDivisible,
    RewardNotFound,
    RewardSoldOut,
    StoreNotAllowed,
    StoreUnknown,
    ValidationFailed,
)
from loyalty.http.auth import Principal, store_for
from loyalty.http.bodies import parse, read_body
from loyalty.http.ids import decode_id
from loyalty.http.pagination import Page
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.balance_api import HistoryView
from loyalty.rewards import fulfilment, services, settling
from loyalty.rewards.answers import Redemption, RedemptionAnswer, RedemptionPage, RewardList
from loyalty.rewards.schemas import (
    CaptureRedemption,
    CaptureRequest,
    FulfilmentRequest,
    MoveFulfilment,
    RedeemRequest,
    RedemptionId,
    ReverseRedemption,
    ReverseRequest,
    VoidRedemption,
    VoidRequest,
)
from loyalty.rewards.sealing import open_answer
from loyalty.rewards.selectors import get_redemption, list_rewards_for, redemptions_of, shown

REDEMPTION: Final = {"redemption": "The id that redeem answered."}
SETTLING: Final = (
    RedemptionNotFound,
    MemberNotActive,
    HoldNotOpen,
    HoldExpired,
    StoreNotAllowed,
)


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


def with_codes(answer: HttpResponse) -> HttpResponse:
    """Show codes in clear that are stored sealed, in the first answer and in its repeats."""
    stored = answer.content
    opened = open_answer(stored)
    if opened is not stored:
        answer.content = opened
    return answer


class RedeemView(CommandEndpoint):
    """POST /v1/redeem."""

    scopes = {"POST": ("redeem",)}

    @operation(
        "redeem",
        "Redeem a reward, or pay with points",
        tag="Redemptions",
        request=RedeemRequest,
        example={"member": "card:2261", "reward": "coffee", "order_ref": "till-4-0128"},
        answers={201: RedemptionAnswer, 200: RedemptionAnswer},
        errors=[
            MemberNotFound,
            MemberNotActive,
            MemberFrozen,
            RewardNotFound,
            RewardNotAvailable,
            RewardSoldOut,
            RewardLimitReached,
            InsufficientPoints,
            RedemptionConflict,
            PaymentNotAllowed,
            StoreNotAllowed,
            StoreUnknown,
        ],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(RedeemRequest, read_body(request))
        payload = redeem_payload(self.principal, body)
        answer = self.run(request, services.REDEEM, payload, canonical_body=canonical)
        return with_codes(answer)


class RedemptionView(Endpoint):
    """GET /v1/redemptions/{redemption}."""

    scopes = {"GET": ("members:read", "redeem")}

    @operation(
        "get_redemption",
        "Read a redemption",
        tag="Redemptions",
        path=REDEMPTION,
        answers={200: Redemption},
        errors=[RedemptionNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, redemption: str) -> HttpResponse:
        self.no_query(request)
        named = redemption_in_path(redemption)
        return json_response(get_redemption(self.principal, named.member_id, named.number))


class CaptureView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/capture."""

    scopes = {"POST": ("redeem",)}

    @operation(
        "capture",
        "Capture a hold; of points that pay also a part",
        tag="Redemptions",
        path=REDEMPTION,
        request=CaptureRequest,
        example={},
        answers={200: RedemptionAnswer},
        errors=[*SETTLING, CaptureExceedsHold, RewardNotDivisible],
        key=True,
    )
    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(CaptureRequest, read_body(request) or b"{}")
        payload = CaptureRedemption(redemption_in_path(redemption), body)
        answer = self.run(request, settling.CAPTURE, payload, canonical_body=canonical)
        return with_codes(answer)


class VoidView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/void."""

    scopes = {"POST": ("redeem",)}

    @operation(
        "void",
        "Void a hold: its points are available again",
        tag="Redemptions",
        path=REDEMPTION,
        request=VoidRequest,
        example={},
        answers={200: RedemptionAnswer},
        errors=SETTLING,
        key=True,
    )
    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(VoidRequest, read_body(request) or b"{}")
        payload = VoidRedemption(redemption_in_path(redemption), body)
        return self.run(request, settling.VOID, payload, canonical_body=canonical)


class ReverseView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/reverse."""

    scopes = {"POST": ("redeem",)}

    @operation(
        "reverse",
        "Reverse a captured redemption: its points come back",
        tag="Redemptions",
        path=REDEMPTION,
        request=ReverseRequest,
        example={"reason": "customer changed their mind"},
        answers={200: RedemptionAnswer},
        errors=[*SETTLING, AlreadyReversed, ReversalExceedsOriginal],
        key=True,
    )
    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(ReverseRequest, read_body(request))
        payload = ReverseRedemption(redemption_in_path(redemption), body)
        return self.run(request, settling.REVERSE, payload, canonical_body=canonical)


class FulfilmentView(CommandEndpoint):
    """POST /v1/redemptions/{redemption}/fulfilment."""

    scopes = {"POST": ("redeem",)}

    @operation(
        "fulfil",
        "Tell how far a delivery is; cancelling it gives the points back",
        tag="Redemptions",
        path=REDEMPTION,
        request=FulfilmentRequest,
        example={"state": "shipped", "note": "parcel 00340434"},
        answers={200: RedemptionAnswer},
        errors=[RedemptionNotFound, MemberNotActive, StoreNotAllowed, FulfilmentConflict],
        key=True,
    )
    def post(self, request: HttpRequest, redemption: str) -> HttpResponse:
        body, canonical = parse(FulfilmentRequest, read_body(request))
        payload = MoveFulfilment(redemption_in_path(redemption), body)
        return self.run(request, fulfilment.FULFIL, payload, canonical_body=canonical)


class MemberRedemptionsView(HistoryView):
    """GET /v1/members/{member}/redemptions."""

    @operation(
        "list_redemptions",
        "List a member's redemptions",
        tag="Redemptions",
        path=MEMBER,
        query=Page,
        answers={200: RedemptionPage},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        work, rows, cursor = self.page(request, member, redemptions_of)
        items = [shown(work, row[1:]) for row in rows]
        return json_response({"items": items, "next_cursor": cursor})


class MemberRewardsView(Endpoint):
    """GET /v1/members/{member}/rewards."""

    scopes = {"GET": ("members:read",)}

    @operation(
        "list_rewards",
        "List the rewards with what a member can have now",
        tag="Redemptions",
        path=MEMBER,
        answers={200: RewardList},
        errors=[MemberNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        self.no_query(request)
        return json_response({"items": list_rewards_for(self.principal, member_in_path(member))})
