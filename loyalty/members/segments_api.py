"""Segments over HTTP: make one, put members in and take them out, list them."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from pydantic import ValidationError

from loyalty.errors import SegmentInUse, SegmentNotFound, ValidationFailed
from loyalty.http.bodies import parse, read_body
from loyalty.http.once import OnceEndpoint
from loyalty.http.pagination import Page, decode_cursor, encode_cursor
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.members import segments
from loyalty.members.models import Segment
from loyalty.members.segment_schemas import (
    SEGMENT_CODE,
    SegmentAnswer,
    SegmentChangeAnswer,
    SegmentMemberPage,
    SegmentMembersRequest,
    SegmentPage,
    SegmentRemoved,
    SegmentRequest,
)

TAG: Final = "Segments"
PATH: Final = {"code": "The segment's code, as rules and rewards name it."}
READ: Final = ("members:read", "config")
WRITE: Final = ("members:write", "config")
NOBODY: Final = UUID(int=0)


class SegmentsView(Endpoint):
    """GET /v1/segments."""

    scopes = {"GET": READ}

    @operation(
        "list_segments",
        "List the segments with the number of their members",
        tag=TAG,
        query=Page,
        answers={200: SegmentPage},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        page = self.query(request, Page)
        program_id = self.principal.program_id
        scope = f"{program_id} segments"
        after = str(decode_cursor(scope, page.cursor)[0]) if page.cursor else ""
        rows = Segment.objects.filter(program_id=program_id, code__gt=after).order_by("code")
        found = list(rows[: page.limit + 1])
        shown = found[: page.limit]
        counts = segments.count_members_of(program_id, [segment.code for segment in shown])
        cursor = encode_cursor(scope, [shown[-1].code]) if len(found) > page.limit else None
        items = [_segment(segment, counts.get(segment.code, 0)) for segment in shown]
        return json_response({"items": items, "next_cursor": cursor})


class SegmentView(OnceEndpoint):
    """GET, PUT and DELETE /v1/segments/{code}."""

    scopes = {"GET": READ, "PUT": WRITE, "DELETE": WRITE}

    @operation(
        "get_segment",
        "Read a segment",
        tag=TAG,
        path=PATH,
        answers={200: SegmentAnswer},
        errors=[SegmentNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        self.no_query(request)
        return json_response(_shown(self.principal.program_id, code))

    @operation(
        "put_segment",
        "Make a segment, or give it another name",
        tag=TAG,
        path=PATH,
        request=SegmentRequest,
        example={"name": "Guests of the opening"},
        answers={201: SegmentAnswer, 200: SegmentAnswer},
        key=True,
    )
    def put(self, request: HttpRequest, code: str) -> HttpResponse:
        if not _is_code(code):
            message = "has 1 to 50 letters, digits and . _ -, and begins with a letter or digit"
            raise ValidationFailed(errors=[{"pointer": "/code", "message": message}])
        body, canonical = parse(SegmentRequest, read_body(request))
        return self.once(request, canonical, lambda: self._put(code, body.name or ""))

    def _put(self, code: str, name: str) -> tuple[int, dict[str, Any]]:
        program_id = self.principal.program_id
        is_new = segments.save_segment(program_id, code, name)
        return 201 if is_new else 200, _shown(program_id, code)

    @operation(
        "remove_segment",
        "Empty a segment and forget it, unless a rule or a reward names it",
        tag=TAG,
        path=PATH,
        answers={200: SegmentRemoved},
        errors=[SegmentNotFound, SegmentInUse],
    )
    def delete(self, request: HttpRequest, code: str) -> HttpResponse:
        if not _is_code(code) or not segments.delete_segment(self.principal.program_id, code):
            raise SegmentNotFound()
        return json_response({"code": code, "removed": True})


class SegmentMembersView(OnceEndpoint):
    """GET and POST /v1/segments/{code}/members."""

    scopes = {"GET": READ, "POST": WRITE}

    @operation(
        "list_segment_members",
        "List who is in a segment",
        tag=TAG,
        path=PATH,
        query=Page,
        answers={200: SegmentMemberPage},
        errors=[SegmentNotFound],
    )
    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        page = self.query(request, Page)
        program_id = self.principal.program_id
        found_one = _find(program_id, code)
        scope = f"{program_id} members of {found_one.pk}"
        after = UUID(decode_cursor(scope, page.cursor)[0]) if page.cursor else NOBODY
        found = segments.members_after(program_id, code, after, page.limit + 1)
        shown = found[: page.limit]
        cursor = encode_cursor(scope, [shown[-1].hex]) if len(found) > page.limit else None
        return json_response({"items": shown, "next_cursor": cursor})

    @operation(
        "change_segment_members",
        "Put members into a segment and take members out",
        tag=TAG,
        path=PATH,
        request=SegmentMembersRequest,
        example={"add": ["card:2261", "email:ada@example.com"], "remove": ["external:shop-77"]},
        answers={200: SegmentChangeAnswer},
        errors=[SegmentNotFound],
        key=True,
    )
    def post(self, request: HttpRequest, code: str) -> HttpResponse:
        body, canonical = parse(SegmentMembersRequest, read_body(request))
        _find(self.principal.program_id, code)
        return self.once(request, canonical, lambda: (200, self._change(code, body)))

    def _change(self, code: str, body: SegmentMembersRequest) -> dict[str, Any]:
        program_id = self.principal.program_id
        added = segments.add_members(program_id, code, body.add)
        removed = segments.remove_members(program_id, code, body.remove)
        return {
            "segment": code,
            "added": added.changed,
            "removed": removed.changed,
            "unknown": [
                *(f"/add/{place}" for place in added.unknown),
                *(f"/remove/{place}" for place in removed.unknown),
            ],
        }


def _is_code(code: str) -> bool:
    try:
        SEGMENT_CODE.validate_python(code)
    except ValidationError:
        return False
    return True


def _find(program_id: int, code: str) -> Segment:
    found = Segment.objects.filter(program_id=program_id, code=code) if _is_code(code) else None
    segment = found.first() if found is not None else None
    if segment is None:
        raise SegmentNotFound()
    return segment


def _shown(program_id: int, code: str) -> dict[str, Any]:
    found = _find(program_id, code)
    return _segment(found, segments.count_members_of(program_id, [code]).get(code, 0))


def _segment(segment: Segment, members: int) -> dict[str, Any]:
    return {
        "code": segment.code,
        "name": segment.name,
        "members": members,
        "created_at": segment.created_at,
        "changed_at": segment.changed_at,
    }
