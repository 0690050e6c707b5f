"""Do what a message says, by the same commands that the API runs; nothing else changes a member."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from crm_sync.inbound.contract import (
    AsksPerson,
    NotForUs,
    OrderSaid,
    PersonSaid,
    PurchaseSaid,
    RefundSaid,
    Said,
)
from crm_sync.inbound.matching import Found, find_person
from crm_sync.inbound.models import InboxMessage, Source
from crm_sync.inbound.orders import order_of, remember, settle
from crm_sync.inbound.ownership import profile_changes, taken_in
from crm_sync.services.profiles import fields_of
from loyalty.engine.commands import Command
from loyalty.engine.run import run
from loyalty.http.auth import Principal
from loyalty.http.problems import from_validation
from loyalty.members.identifiers import MemberRef
from loyalty.members.schemas import UpdateMember
from loyalty.members.services import UPDATE
from loyalty.orders.desired import PUT_ORDER
from loyalty.orders.schemas import PutOrder, PutOrderRequest

State = InboxMessage.State


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a message.

    Attributes:
        note: A sentence for the person who looks at it, without personal data.
    """

    state: InboxMessage.State
    note: str
    member_id: UUID | None = None
    candidates: tuple[UUID, ...] = ()


NOBODY = Result(State.IGNORED, "Nobody of this program is meant.")


def apply(source: Source, said: Said, *, chosen: UUID | None = None) -> Result:
    """Do what a message says.

    Args:
        chosen: Whom a person has said it is about.
    """
    if isinstance(said, NotForUs):
        return Result(State.IGNORED, said.reason)
    if isinstance(said, PurchaseSaid | RefundSaid):
        known = remember(source, said)
        if known.order is None:
            return Result(State.DONE, f"The refund waits for the order {known.ref}.")
        result = _apply(source, order_of(known, said.who), chosen or known.member_id)
        settle(known, result.member_id if result.state is State.DONE else None)
        return result
    return _apply(source, said, chosen)


def _apply(
    source: Source, said: OrderSaid | PersonSaid | AsksPerson, chosen: UUID | None
) -> Result:
    found = find_person(source, said.who, chosen=chosen)
    if isinstance(said, AsksPerson):
        return Result(State.PARKED, said.reason, found.member_id, found.candidates)
    if found.candidates:
        note = "Several members may be meant: choose one of them."
        return Result(State.PARKED, note, candidates=found.candidates)
    if isinstance(said, OrderSaid):
        return _put_order(source, said, found)
    return NOBODY if found.member_id is None else _take_in(source, said, found.member_id)


def principal_of(source: Source) -> Principal:
    """Give the principal of a source; ledger transactions name it as actor."""
    return Principal(
        key_id=0,
        program_id=source.program_id,
        name=f"source:{source.name}"[:100],
        scopes=frozenset(),
        source="crm",
    )


def _put_order(source: Source, said: OrderSaid, found: Found) -> Result:
    """Bring the order to its state; a program may enrol whom it does not know by an external id."""
    member = str(found.member_id or "")
    if not member and said.who.external_ids:
        member = f"external:{said.who.external_ids[0]}"
    if not member:
        return NOBODY
    body = {"member": member, "revision": said.revision, "order": {**said.order, "ref": said.ref}}
    try:
        request = PutOrderRequest.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        return Result(State.DEAD, _first_error(error), found.member_id)
    command = Command(PUT_ORDER, PutOrder(said.ref, request), request_id=uuid4().hex)
    return _run(source, command, found.member_id, _order_note)


def _order_note(answer: Mapping[str, Any]) -> str:
    return f"The order {answer['ref']} is {answer['state']} and counts {answer['points']} points."


def _take_in(source: Source, said: PersonSaid, member_id: UUID) -> Result:
    fields = fields_of(source.connection) if source.connection is not None else []
    change, left_out = profile_changes(taken_in(fields, said.fields))
    notes = []
    if change is not None:
        payload = UpdateMember(MemberRef("id", str(member_id)), change)
        command = Command(UPDATE, payload, request_id=uuid4().hex)
        result = _run(source, command, member_id, lambda answer: "The profile is up to date.")
        if result.state is not State.DONE:
            return result
        notes.append(result.note)
    note = " ".join([*notes, *left_out]) or "It says nothing that the vendor owns."
    return Result(State.DONE, note, member_id)


def _run(
    source: Source,
    command: Command,
    member_id: UUID | None,
    note: Callable[[Mapping[str, Any]], str],
) -> Result:
    answer = run([command], principal=principal_of(source))[0]
    body = orjson.loads(answer.body)
    if answer.status < 300:
        return Result(State.DONE, note(body), UUID(body.get("member") or body.get("id")))
    if body["code"] == "member_not_found":
        return NOBODY
    return Result(State.DEAD, f"{body['code']}: {body['detail']}", member_id)


def _first_error(error: ValidationError) -> str:
    refused = from_validation(error)
    first = refused.errors[0] if refused.errors else {"pointer": "", "message": refused.detail}
    return f"{first['pointer']}: {first['message']}"
