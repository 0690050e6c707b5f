"""Everything that is held on a person, as JSON in pieces: memory does not grow with the history."""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import orjson
from django.db.models import Model

from loyalty.earning.models import RuleUse
from loyalty.engine.look import look
from loyalty.http.auth import Principal
from loyalty.ledger.models import Hold, LedgerTransaction, Lot, MemberState, Posting
from loyalty.members.identifiers import MemberRef
from loyalty.members.models import ConsentRecord, Identifier, Member, MemberMerge, SegmentMember
from loyalty.members.rows import profile_of
from loyalty.members.services import member_body, profile_found
from loyalty.referrals.models import Referral, ReferralCode, ReferralStep
from loyalty.tiers.models import ActivityDay, TierChange

ROWS_AT_ONCE: Final = 500

# Lists of this layer and below; those above add theirs.
TABLES: Final[dict[str, type[Model]]] = {
    "identifiers": Identifier,
    "ledger_transactions": LedgerTransaction,
    "postings": Posting,
    "lots": Lot,
    "holds": Hold,
    "tier_changes": TierChange,
    "activity_days": ActivityDay,
    "rule_uses": RuleUse,
    "segments": SegmentMember,
    "consents": ConsentRecord,
    "merges": MemberMerge,
    "referral_codes": ReferralCode,
    "referrals": Referral,
    "referral_steps": ReferralStep,
}
# Columns that say nothing of the person: how the engine keeps its rows; and `facts` of a friend's
# purchase, which are somebody else's.
_LEFT_OUT: Final = ("id", "pk", "program_id", "content_hash", "facts")


def export_member(
    principal: Principal, ref: MemberRef, more: dict[str, type[Model]]
) -> Iterator[bytes]:
    """Give the document in pieces; everything that may be refused is refused before the first.

    Args:
        more: Tables of domains above, by the name of their list.

    Raises:
        MemberNotFound: This program has no such member.
    """
    session, work = look(principal, ref, [profile_of(ref)])
    member = member_body(work, profile_found(session, ref))
    merged = MemberState.objects.filter(merged_into=work.member_id).values_list("pk", flat=True)
    people = [work.member_id, *merged]
    return _pieces(member, people, {**TABLES, **more})


def _pieces(
    member: dict[str, Any], people: list[UUID], tables: dict[str, type[Model]]
) -> Iterator[bytes]:
    yield b'{"member":' + orjson.dumps(member)
    rows = Member.objects.filter(pk__in=people[1:])
    yield b',"merged_members":[' + b",".join(_json(row) for row in rows.iterator()) + b"]"
    for name, table in tables.items():
        yield b',"' + name.encode() + b'":['
        yield from _listed(_rows(table, people))
        yield b"]"
    yield b"}"


def _rows(table: type[Model], people: list[UUID]) -> Iterable[Model]:
    """Read a table's rows of some members in steps, by the key that begins with the member."""
    names = {field.name for field in table._meta.concrete_fields}
    order = next((name for name in ("seq", "sequence", "number", "day") if name in names), "")
    for member_id in people:
        if not order:  # as many rows as rules and periods, or segments
            yield from table._default_manager.filter(member_id=member_id)
            continue
        last: Any = None
        while True:
            rows = table._default_manager.filter(member_id=member_id).order_by(order)
            if last is not None:
                rows = rows.filter(**{f"{order}__gt": last})
            found = list(rows[:ROWS_AT_ONCE])
            yield from found
            if len(found) < ROWS_AT_ONCE:
                break
            last = getattr(found[-1], order)


def _listed(rows: Iterable[Model]) -> Iterator[bytes]:
    before = b""
    for row in rows:
        yield before + _json(row)
        before = b","


def _json(row: Model) -> bytes:
    fields = row._meta.concrete_fields
    kept = {f.attname: getattr(row, f.attname) for f in fields if f.attname not in _LEFT_OUT}
    return orjson.dumps(kept)
