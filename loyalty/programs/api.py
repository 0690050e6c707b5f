"""Configuration over HTTP: the draft's entries, and publishing it.

The same draft that marketers edit in the admin, the same checks and sentences, the same versions.
What is changed here is not live before it is published.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from loyalty.errors import CodeTaken, DraftChanged, NotFound, ValidationFailed
from loyalty.http.actors import KEYS
from loyalty.http.bodies import canonical_of, load_json, parse, read_body
from loyalty.http.once import OnceEndpoint
from loyalty.http.pagination import Page, decode_cursor, encode_cursor
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.programs import parts, scheduling, selectors, services
from loyalty.programs.changes import Change
from loyalty.programs.models import Program
from loyalty.programs.parts import Kind, Part
from loyalty.programs.schemas import (
    ProgramAnswer,
    PublishedAnswer,
    PublishRequest,
    RemovedAnswer,
    TiersAnswer,
    TiersChange,
    change_of,
    page_of,
)
from loyalty.programs.shapes.entry import Entry

SCOPE: Final = ("config",)
TAG: Final = "Configuration"


class ProgramView(Endpoint):
    """GET /v1/program."""

    scopes = {"GET": SCOPE}

    @operation(
        "get_program",
        "Read what is live, and what of the draft is not",
        tag=TAG,
        answers={200: ProgramAnswer},
        errors=[ValidationFailed],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        self.no_query(request)
        return json_response(_program(Program.objects.get(pk=self.principal.program_id)))


class PublishView(OnceEndpoint):
    """POST /v1/program/publish."""

    scopes = {"POST": SCOPE}

    @operation(
        "publish_program",
        "Publish the draft: every till uses it from its next request on",
        tag=TAG,
        request=PublishRequest,
        example={"reason": "Prices for spring"},
        answers={200: PublishedAnswer},
        errors=[DraftChanged],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(PublishRequest, read_body(request))
        return self.once(request, canonical, lambda: (200, self._publish(body)))

    def _publish(self, body: PublishRequest) -> dict[str, Any]:
        program = Program.objects.get(pk=self.principal.program_id)
        before, found = program.version, selectors.unpublished(program)
        version = services.publish(
            program, actor=_actor(self), reason=body.reason, revision=body.revision
        )
        published = version != before
        shown = [_change(change) for change in found] if published else []
        return {"version": version, "published": published, "changes": shown}


class TierPolicyView(OnceEndpoint):
    """GET and PATCH /v1/tiers; POST adds a level."""

    scopes = {"GET": SCOPE, "PATCH": SCOPE, "POST": SCOPE}

    @operation(
        "get_tiers",
        "Read how members rise and fall, and the levels",
        tag=TAG,
        answers={200: TiersAnswer},
        errors=[ValidationFailed],
        etag=True,
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        self.no_query(request)
        return _tiers(Program.objects.get(pk=self.principal.program_id))

    @operation(
        "change_tiers",
        "Change how members rise and fall",
        tag=TAG,
        request=TiersChange,
        example={"grace_days": 60},
        answers={200: TiersAnswer},
        errors=[DraftChanged],
        etag=True,
        match=True,
    )
    def patch(self, request: HttpRequest) -> HttpResponse:
        change, _ = _object(request)
        match, program_id = _match(request), self.principal.program_id
        return _tiers(parts.change_tier_policy(program_id, change, match=match, actor=_actor(self)))

    @operation(
        "add_tier_level",
        "Add a tier level",
        tag=TAG,
        request=parts.LEVELS.model.part.shape,
        example={"code": "platinum", "from": "5000.00", "earn_multiplier": "2"},
        answers={201: parts.LEVELS.model.part.shape},
        errors=[CodeTaken],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        return _add(self, request, parts.LEVELS)


def list_view(kind: Kind, *, noun: str, plural: str, example: dict[str, Any]) -> type[Endpoint]:
    """Make the endpoint of a list: read it, add to it."""
    shape = kind.model.part.shape

    class ListView(OnceEndpoint):
        scopes = {"GET": SCOPE, "POST": SCOPE}

        @operation(
            f"list_config_{plural}",
            f"Read the draft's {plural.replace('_', ' ')}",
            tag=TAG,
            query=Page,
            answers={200: page_of(shape)},
        )
        def get(self, request: HttpRequest) -> HttpResponse:
            query = self.query(request, Page)
            scope = f"{self.principal.program_id} {plural}"
            after = str(decode_cursor(scope, query.cursor)[0]) if query.cursor else ""
            found = parts.list_parts(
                self.principal.program_id, kind, after=after, limit=query.limit + 1
            )
            shown, more = found[: query.limit], len(found) > query.limit
            cursor = encode_cursor(scope, [shown[-1].entry["code"]]) if more else None
            return json_response({"items": [p.entry for p in shown], "next_cursor": cursor})

        @operation(
            f"add_{noun}",
            f"Add {kind.one} to the draft",
            tag=TAG,
            request=shape,
            example=example,
            answers={201: shape},
            errors=[CodeTaken],
            key=True,
        )
        def post(self, request: HttpRequest) -> HttpResponse:
            return _add(self, request, kind)

    return ListView


def entry_view(kind: Kind, *, noun: str, example: dict[str, Any]) -> type[Endpoint]:
    """Make the endpoint of one entry: read it, change it, take it out."""
    shape: type[Entry] = kind.model.part.shape
    path = {"code": f"The {kind.noun}'s code."}

    class EntryView(Endpoint):
        scopes = {"GET": SCOPE, "PATCH": SCOPE, "DELETE": SCOPE}

        @operation(
            f"get_{noun}",
            f"Read {kind.one} of the draft",
            tag=TAG,
            path=path,
            answers={200: shape},
            errors=[NotFound, ValidationFailed],
            etag=True,
        )
        def get(self, request: HttpRequest, code: str) -> HttpResponse:
            self.no_query(request)
            return _answer(parts.get_part(self.principal.program_id, kind, _code(code)))

        @operation(
            f"change_{noun}",
            f"Change {kind.one} of the draft",
            tag=TAG,
            path=path,
            request=change_of(shape),
            example=example,
            answers={200: shape},
            errors=[NotFound, DraftChanged],
            etag=True,
            match=True,
        )
        def patch(self, request: HttpRequest, code: str) -> HttpResponse:
            change, _ = _object(request)
            match, program_id = _match(request), self.principal.program_id
            return _answer(
                parts.change_part(
                    program_id, kind, _code(code), change, match=match, actor=_actor(self)
                )
            )

        @operation(
            f"remove_{noun}",
            f"Take {kind.one} out of the draft",
            tag=TAG,
            path=path,
            answers={200: RemovedAnswer},
            errors=[NotFound, DraftChanged, ValidationFailed],
            match=True,
        )
        def delete(self, request: HttpRequest, code: str) -> HttpResponse:
            match, program_id = _match(request), self.principal.program_id
            parts.remove_part(program_id, kind, _code(code), match=match, actor=_actor(self))
            return json_response({"code": code, "removed": True})

    return EntryView


RewardsView: Final = list_view(
    parts.REWARDS,
    noun="reward",
    plural="rewards",
    example={"code": "tote", "name": "Tote bag", "cost": 700, "gives": {"product": "sku-tote"}},
)
RewardView: Final = entry_view(parts.REWARDS, noun="reward", example={"cost": 450})
RulesView: Final = list_view(
    parts.EARNING_RULES,
    noun="earning_rule",
    plural="earning_rules",
    example={"code": "double-dairy", "multiply": "2", "when": {"category": ["DAIRY"]}},
)
RuleView: Final = entry_view(parts.EARNING_RULES, noun="earning_rule", example={"active": False})
CampaignsView: Final = list_view(
    parts.CAMPAIGNS,
    noun="campaign",
    plural="campaigns",
    example={
        "code": "spring",
        "from": "2027-03-01",
        "to": "2027-03-31",
        "budget_points": 100_000,
        "rules": [{"code": "spring-double", "multiply": "2", "when": {"weekday": ["sat"]}}],
    },
)
CampaignView: Final = entry_view(
    parts.CAMPAIGNS, noun="campaign", example={"budget_points": 150_000}
)
StoresView: Final = list_view(
    parts.STORES,
    noun="store",
    plural="stores",
    example={"code": "311", "name": "Harbour"},
)
StoreView: Final = entry_view(parts.STORES, noun="store", example={"name": "Old Harbour"})
TierLevelView: Final = entry_view(
    parts.LEVELS, noun="tier_level", example={"earn_multiplier": "1.50"}
)


def _add(endpoint: OnceEndpoint, request: HttpRequest, kind: Kind) -> HttpResponse:
    written, canonical = _object(request)
    program_id, actor = endpoint.principal.program_id, _actor(endpoint)
    return endpoint.once(
        request,
        canonical,
        lambda: (201, parts.add_part(program_id, kind, written, actor=actor).entry),
    )


def _object(request: HttpRequest) -> tuple[Mapping[str, Any], bytes]:
    raw = read_body(request)
    written = load_json(raw)
    if not isinstance(written, dict):
        message = "This is a JSON object."
        raise ValidationFailed(message, errors=[{"pointer": "", "message": message}])
    return written, canonical_of(written, raw)


def _code(code: str) -> str:
    """What cannot be in a column is not found there."""
    if len(code) > 50 or "\x00" in code:
        raise NotFound()
    return code


def _match(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_IF_MATCH", ""))


def _actor(endpoint: Endpoint) -> str:
    return f"{KEYS}{endpoint.principal.name}"[:100]


def _answer(part: Part) -> HttpResponse:
    response = json_response(part.entry)
    response.headers["ETag"] = part.etag
    return response


def _tiers(program: Program) -> HttpResponse:
    policy = parts.tier_policy(program)
    response = json_response(policy)
    response.headers["ETag"] = parts.etag_of(policy)
    return response


def _change(change: Change) -> dict[str, Any]:
    return {
        "group": change.group,
        "code": change.code,
        "kind": change.kind,
        "text": str(change),
    }


def _program(program: Program) -> dict[str, Any]:
    live, plan = program.versions.first(), scheduling.waiting(program)
    return {
        "program": program.code,
        "name": program.name,
        "version": program.version,
        "published_at": live.published_at if live else None,
        "published_by": live.published_by if live else None,
        "reason": (live.reason or None) if live else None,
        "draft": {
            "revision": program.revision,
            "edited_by": program.edited_by or None,
            "edited_at": program.edited_at,
            "changes": [_change(change) for change in selectors.unpublished(program)],
        },
        "planned": plan
        and {
            "publish_at": plan.publish_at,
            "revision": plan.revision,
            "reason": plan.reason,
            "planned_by": plan.scheduled_by,
        },
    }
