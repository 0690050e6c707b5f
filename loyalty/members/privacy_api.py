"""Erase a member over HTTP."""

from django.http import HttpRequest, HttpResponse

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import MemberNotActive, MemberNotFound
from loyalty.http.bodies import parse, read_body
from loyalty.http.schema import operation
from loyalty.members import erasing
from loyalty.members.answers import EraseAnswer
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.schemas import EraseMember, EraseRequest


class EraseView(CommandEndpoint):
    """POST /v1/members/{member}/erase."""

    scopes = {"POST": ("members:write",)}

    @operation(
        "erase_member",
        "Erase what names a member; the ledger stays",
        tag="Members",
        path=MEMBER,
        request=EraseRequest,
        example={},
        answers={200: EraseAnswer},
        errors=[MemberNotFound, MemberNotActive],
        key=True,
    )
    def post(self, request: HttpRequest, member: str) -> HttpResponse:
        body, canonical = parse(EraseRequest, read_body(request) or b"{}")
        payload = EraseMember(member_in_path(member), body)
        return self.run(request, erasing.ERASE, payload, canonical_body=canonical)
