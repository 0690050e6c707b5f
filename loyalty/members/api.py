"""Members over HTTP: enrol, read, change, find; their identifiers; points by hand."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from loyalty.engine.activity import activity_of, days_found, tier_body
from loyalty.engine.api import CommandEndpoint
from loyalty.engine.commands import MemberRef as AnyRef
from loyalty.engine.look import look
from loyalty.engine.run import known_program
from loyalty.errors import (
    ApprovalRequired,
    BalanceTooLarge,
    IdentifierTaken,
    InsufficientPoints,
    MemberErased,
    MemberNotActive,
    MemberNotFound,
    NotFound,
    ReferralCodeUnknown,
    SelfReferral,
    ValidationFailed,
)
from loyalty.http.auth import Principal
from loyalty.http.bodies import parse, read_body
from loyalty.http.problems import sentence
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.members import adjustments, naming, services
from loyalty.members.answers import AdjustmentAnswer, MemberAnswer
from loyalty.members.identifiers import MemberRef, parse_member_ref
from loyalty.members.rows import profile_of
from loyalty.members.schemas import (
    AddIdentifier,
    AdjustRequest,
    EnrolRequest,
    IdentifierInput,
    LookupRequest,
    RemoveIdentifier,
    UpdateMember,
    UpdateRequest,
)
from loyalty.referrals.selectors import member_of_code

MEMBER: Final = {"member": "The member's id, or card:…, or external:…"}


def member_in_path(text: str) -> MemberRef:
    """Read the member that a path names; what cannot be one is not found.

    Raises:
        MemberNotFound: saying how members are named.
    """
    try:
        return parse_member_ref(text)
    except ValueError as error:
        raise MemberNotFound(sentence(str(error))) from None


def member_view(principal: Principal, ref: AnyRef) -> dict[str, Any]:
    """Read a member with balance, tier and profile, in one round trip."""
    activity = activity_of(ref, known_program(principal.program_id))
    session, work = look(principal, ref, [profile_of(ref), activity])
    body = services.member_body(work, services.profile_found(session, ref))
    return {**body, "tier": tier_body(work, days=days_found(work, activity))}


class MembersView(CommandEndpoint):
    """POST /v1/members."""

    scopes = {"POST": ("members:write",)}

    @operation(
        "enrol",
        "Enrol a member",
        tag="Members",
        request=EnrolRequest,
        example={
            "identifiers": [
                {"type": "card", "value": "5520114"},
                {"type": "email", "value": "ada@example.com"},
            ],
            "profile": {"first_name": "Ada"},
        },
        answers={201: MemberAnswer},
        errors=[IdentifierTaken, MemberErased, ReferralCodeUnknown, SelfReferral],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(EnrolRequest, read_body(request))
        return self.run(request, services.ENROL, body, canonical_body=canonical)


class MemberView(CommandEndpoint):
    """GET and PATCH /v1/members/{member}."""

    scopes = {"GET": ("members:read",), "PATCH": ("members:write",)}

    @operation(
        "get_member",
        "Read a member",
        tag="Members",
        path=MEMBER,
        answers={200: MemberAnswer},
        errors=[MemberNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        self.no_query(request)
        return json_response(member_view(self.principal, member_in_path(member)))

    @operation(
        "update_member",
        "Change a member: profile, attributes, status",
        tag="Members",
        path=MEMBER,
        request=UpdateRequest,
        example={"profile": {"language": "en"}, "attributes": {"shoe_size": 42}},
        answers={200: MemberAnswer},
        errors=[MemberNotFound, MemberNotActive, MemberErased],
    )
    def patch(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(UpdateRequest, read_body(request))
        payload = UpdateMember(member_in_path(member), body)
        return self.run(request, services.UPDATE, payload, canonical_body=canonical)


class LookupView(Endpoint):
    """POST /v1/members/lookup: emails and phones never stand in a path, which logs keep."""

    scopes = {"POST": ("members:read",)}

    @operation(
        "lookup_member",
        "Find a member by an identifier",
        tag="Members",
        request=LookupRequest,
        example={"type": "email", "value": "ada@example.com"},
        answers={200: MemberAnswer},
        errors=[MemberNotFound],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, _ = parse(LookupRequest, read_body(request))
        ref: AnyRef = (body.type, body.value)
        if body.type == "referral":
            ref = ("id", str(member_of_code(self.principal.program_id, body.value)))
        return json_response(member_view(self.principal, ref))


class IdentifiersView(CommandEndpoint):
    """POST /v1/members/{member}/identifiers."""

    scopes = {"POST": ("members:write",)}

    @operation(
        "add_identifier",
        "Add an identifier: another card, an email",
        tag="Members",
        path=MEMBER,
        request=IdentifierInput,
        example={"type": "card", "value": "2262"},
        answers={200: MemberAnswer, 201: MemberAnswer},
        errors=[MemberNotFound, MemberNotActive, IdentifierTaken, MemberErased],
        key=True,
    )
    def post(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(IdentifierInput, read_body(request))
        payload = AddIdentifier(member_in_path(member), body)
        return self.run(request, naming.ADD_IDENTIFIER, payload, canonical_body=canonical)


class IdentifierView(CommandEndpoint):
    """DELETE /v1/members/{member}/identifiers/{identifier}."""

    scopes = {"DELETE": ("members:write",)}

    @operation(
        "remove_identifier",
        "Remove an identifier: a lost card",
        tag="Members",
        path={**MEMBER, "identifier": "The identifier's id."},
        answers={200: MemberAnswer},
        errors=[MemberNotFound, MemberNotActive, NotFound, ValidationFailed, MemberErased],
    )
    def delete(self, request: HttpRequest, member: str, identifier: str) -> HttpResponse:
        if not (identifier.isascii() and identifier.isdigit() and len(identifier) <= 18):
            raise NotFound()
        payload = RemoveIdentifier(member_in_path(member), int(identifier))
        return self.run(request, naming.REMOVE_IDENTIFIER, payload, canonical_body=b"")


class AdjustmentsView(CommandEndpoint):
    """POST /v1/adjustments."""

    scopes = {"POST": ("adjust",)}

    @operation(
        "adjust",
        "Change points by hand",
        tag="Points",
        request=AdjustRequest,
        example={"member": "card:2261", "points": 50, "reason": "goodwill"},
        answers={201: AdjustmentAnswer},
        errors=[
            MemberNotFound,
            MemberNotActive,
            InsufficientPoints,
            BalanceTooLarge,
            ApprovalRequired,
        ],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(AdjustRequest, read_body(request))
        return self.run(request, adjustments.ADJUST, body, canonical_body=canonical)
