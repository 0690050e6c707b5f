"""Show what a basket would earn under the live program and under a draft, side by side.

Both are decided by the engine as a till's earn is, for the member as they are now, and nothing is
written. So a preview cannot differ from what the till will do.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Any

import orjson

from loyalty.engine.commands import Command, Decision, Kind
from loyalty.engine.run import run
from loyalty.engine.session import Session
from loyalty.http.auth import Principal
from loyalty.members.identifiers import MemberRef
from loyalty.orders.activities import EARN
from loyalty.orders.rules import order_scope
from loyalty.orders.schemas import Activity, Order
from loyalty.orders.services import find_order
from loyalty.programs.models import Program
from loyalty.programs.rules import PublishedProgram
from loyalty.trials.candidates import Candidate, live_of
from loyalty.trials.referrer import REFERRER, Brought, brought_by


@dataclass(frozen=True, slots=True)
class Preview:
    """What one program would answer.

    Attributes:
        label: "version 3", "the draft", ...
        body: The answer of an earn, with `lines`; a problem where it would be refused.
        referrer: What it would give whoever brought the member: `points`, and why; None where it
            means nothing to them.
    """

    label: str
    status: int
    body: dict[str, Any]
    referrer: dict[str, Any] | None = None

    @property
    def refused(self) -> bool:
        """Tell whether a till would get an error."""
        return self.status >= 400


@dataclass(slots=True)
class _Tried:
    """What is tried, as an earn's request has it; and whom else it would mean something to."""

    member: MemberRef
    order: Order | None
    activity: Activity | None
    brought: Brought | None = None


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    """Decide as a till's earn, and add what each line earned."""
    status, body = EARN.decide(session, decision)
    order: Order | None = decision.payload.order
    if order is None:
        return status, {**body, "lines": []}
    record = find_order(session, order_scope(order.store, order.channel), order.ref)
    lines = record.lines if record else []
    work = decision.work
    decision.payload.brought = brought_by(work, record) if work and record else None
    body["lines"] = [{"line": line["line"], "points": line["points"]} for line in lines]
    return status, body


PREVIEW = Kind("preview", member=EARN.member, asks=EARN.asks, decide=_decide)


def preview(
    program: Program,
    tried: Candidate,
    *,
    member: MemberRef | None,
    what: Order | Activity,
    principal: Principal,
) -> tuple[Preview | None, Preview]:
    """Decide an order or an activity under the live program and under another one.

    Args:
        member: None is somebody who joins with this purchase.
        what: Its `ref` does not matter: an order of the past can be tried again.

    Returns:
        For the live program (None where nothing is published yet) and for the one tried.
    """
    fresh = what.model_copy(update={"ref": f"preview-{secrets.token_hex(8)}"})
    request = _Tried(
        member=member or MemberRef("card", f"preview-{secrets.token_hex(8)}"),
        order=fresh if isinstance(fresh, Order) else None,
        activity=fresh if isinstance(fresh, Activity) else None,
    )
    live = live_of(program)
    newcomer = member is None
    shown = [
        _under(replace(request), one.label, one.program, principal, newcomer=newcomer)
        for one in (live, tried)
        if one is not None
    ]
    return shown[0] if live else None, shown[-1]


def _under(
    request: _Tried,
    label: str,
    program: PublishedProgram,
    principal: Principal,
    *,
    newcomer: bool,
) -> Preview:
    if newcomer:
        program = replace(program, points=replace(program.points, unknown_member="enrol"))
    status, body = _answer(Command(PREVIEW, request, request_id="preview"), program, principal)
    shown = Preview(label, status, body)
    if request.brought is None or shown.refused:
        return shown
    to_referrer = Command(REFERRER, request.brought, request_id="preview")
    return replace(shown, referrer=_answer(to_referrer, program, principal)[1])


def _answer(
    command: Command, program: PublishedProgram, principal: Principal
) -> tuple[int, dict[str, Any]]:
    answer = run([command], principal=principal, preview=True, under=program)[0]
    return answer.status, orjson.loads(answer.body)
