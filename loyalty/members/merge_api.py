"""Two members who are one person, over HTTP: merge them, and take that back."""

from django.http import HttpRequest, HttpResponse

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import (
    BalanceTooLarge,
    MemberHasHolds,
    MemberNotActive,
    MemberNotFound,
    MergeNotReversible,
    NotMerged,
    SameMember,
)
from loyalty.http.bodies import parse, read_body
from loyalty.http.schema import operation
from loyalty.members import merging
from loyalty.members.answers import MergeAnswer, UnmergeAnswer
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.schemas import MergeMembers, MergeRequest, UnmergeMember, UnmergeRequest


class MergeView(CommandEndpoint):
    """POST /v1/members/{member}/merge."""

    scopes = {"POST": ("members:write",)}

    @operation(
        "merge_members",
        "Merge a member into another one",
        tag="Members",
        path=MEMBER,
        request=MergeRequest,
        example={"into": "card:2261", "reason": "lost the old card and enrolled anew"},
        answers={200: MergeAnswer},
        errors=[MemberNotFound, MemberNotActive, SameMember, MemberHasHolds, BalanceTooLarge],
        key=True,
    )
    def post(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(MergeRequest, read_body(request))
        payload = MergeMembers(member_in_path(member), body)
        return self.run(request, merging.MERGE, payload, canonical_body=canonical)


class UnmergeView(CommandEndpoint):
    """POST /v1/members/{member}/unmerge."""

    scopes = {"POST": ("members:write",)}

    @operation(
        "unmerge_member",
        "Take a merge back, within 30 days",
        tag="Members",
        path={"member": "The id of the member who was merged into another one."},
        request=UnmergeRequest,
        example={},
        answers={200: UnmergeAnswer},
        errors=[MemberNotFound, NotMerged, MergeNotReversible, MemberHasHolds, BalanceTooLarge],
        key=True,
    )
    def post(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(UnmergeRequest, read_body(request) or b"{}")
        payload = UnmergeMember(member_in_path(member), body)
        return self.run(request, merging.UNMERGE, payload, canonical_body=canonical)
