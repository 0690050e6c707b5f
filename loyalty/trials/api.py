"""Trials over HTTP: preview the draft before it is published."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

from loyalty.errors import ActivityUnknown
from loyalty.http.auth import require_scope, store_for
from loyalty.http.bodies import parse, read_body
from loyalty.http.problems import PROBLEM_JSON
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.orders.api import EARN_EXAMPLE, RECORDING
from loyalty.programs.models import Program
from loyalty.trials.answers import PreviewAnswer
from loyalty.trials.candidates import draft_of
from loyalty.trials.preview import Preview, preview
from loyalty.trials.schemas import PreviewRequest


class DraftPreviewView(Endpoint):
    """POST /v1/program/preview."""

    scopes = {"POST": ("config",)}

    @operation(
        "preview_draft",
        "Show what an order or an activity would earn under the draft and under the live program",
        tag="Configuration",
        request=PreviewRequest,
        example=EARN_EXAMPLE,
        answers={200: PreviewAnswer},
        errors=[*RECORDING, ActivityUnknown],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        self.no_query(request)
        body, _ = parse(PreviewRequest, read_body(request))
        if body.member is not None:  # the answer shows their balance and level
            require_scope(self.principal, ("members:read",))
        what = body.what
        what.store = store_for(self.principal, what.store, pointer=body.store_pointer)
        program = Program.objects.get(pk=self.principal.program_id)
        live, draft = preview(
            program, draft_of(program), member=body.member, what=what, principal=self.principal
        )
        if draft.refused and (live is None or live.refused):
            problem = {**draft.body, "request_id": self.request_id}
            return HttpResponse(
                orjson.dumps(problem), status=draft.status, content_type=PROBLEM_JSON
            )
        return json_response(
            {
                "live": live and _side(live),
                "draft": _side(draft),
                "points_difference": _points(draft) - (_points(live) if live else 0),
            }
        )


def _points(shown: Preview) -> int:
    return 0 if shown.refused else int(shown.body["points"])


def _side(shown: Preview) -> dict[str, Any]:
    if not shown.refused:
        return {"outcome": "earned", "earn": shown.body, "refusal": None}
    problem = {name: shown.body.get(name) for name in ("status", "code", "detail")}
    return {"outcome": "refused", "earn": None, "refusal": problem}
