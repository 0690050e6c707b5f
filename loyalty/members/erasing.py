"""Erase a person: what names them goes, what happened stays (docs/decisions/0006)."""

from typing import Any
from uuid import UUID

from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.session import MemberWork, Session
from loyalty.engine.writing import Table
from loyalty.errors import MemberErased
from loyalty.http.auth import hash_key
from loyalty.http.problems import problem_bytes
from loyalty.members.merge_rows import merged_with
from loyalty.members.merging import merged_before
from loyalty.members.schemas import EraseMember
from loyalty.members.services import require
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.rows import ERASED_CODE

ERASED_PROFILE = Table(
    "loyalty_member",
    {"id": "uuid", "updated_at": "timestamptz"},
    update=(
        "UPDATE loyalty_member AS m SET first_name = '', last_name = '', birth_date = NULL,"
        " language = '', attributes = '{}', updated_at = r.updated_at FROM {rows} WHERE m.id = r.id"
    ),
)

ERASED_IDENTIFIERS = Table(
    "loyalty_identifier",
    {"member_id": "uuid"},
    update="DELETE FROM loyalty_identifier AS i USING {rows} WHERE i.member_id = r.member_id",
)

# What a segment is called can say much of a person.
LEFT_SEGMENTS = Table(
    "loyalty_segmentmember",
    {"member_id": "uuid"},
    update="DELETE FROM loyalty_segmentmember AS s USING {rows} WHERE s.member_id = r.member_id",
)

# The database lets these go only together with the row of the erasure.
ERASED_CONSENTS = Table(
    "loyalty_consentrecord",
    {"member_id": "uuid"},
    update="DELETE FROM loyalty_consentrecord AS c USING {rows} WHERE c.member_id = r.member_id",
)

# A person typed it, about a parcel of somebody's.
ERASED_NOTES = Table(
    "loyalty_redemption",
    {"member_id": "uuid"},
    update=(
        "UPDATE loyalty_redemption AS d SET fulfilment_note = '' FROM {rows}"
        " WHERE d.member_id = r.member_id AND d.fulfilment_note <> ''"
    ),
)

# The key stays claimed: a till that repeats an enrolment must not enrol the person anew. Inserted
# onto themselves, as profiles are.
ERASED_ANSWERS = Table(
    "loyalty_idempotencykey",
    {"personal_of": "uuid", "status": "smallint", "body": "text"},
    update=(
        "INSERT INTO loyalty_idempotencykey (client, key, request_hash, status, body, created_at)"
        " SELECT k.client, k.key, k.request_hash, r.status, r.body, k.created_at FROM {rows}"
        " CROSS JOIN LATERAL (SELECT * FROM loyalty_idempotencykey AS k"
        " WHERE k.personal_of = r.personal_of OFFSET 0) AS k ON CONFLICT (client, key) DO UPDATE"
        " SET status = excluded.status, body = excluded.body, personal_of = NULL"
    ),
)

ERASURE = Table(
    "loyalty_erasure",
    {
        "member_id": "uuid",
        "program_id": "int",
        "digest": "text",
        "actor": "text",
        "erased_at": "timestamptz",
    },
    key=("member_id",),
    tail="ON CONFLICT (member_id) DO NOTHING",
)


def digest_of(member_id: UUID) -> str:
    """Hash a member's id for lists that leave the house; only this installation can tell whose."""
    return hash_key(f"erasure:{member_id}").hex()


def _decide_erase(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: EraseMember = decision.payload
    found = session.found(merged_with(request.member))
    merged = [earlier for earlier, _ in merged_before(session, request, found)]
    for one in (work, *merged):
        _forget(one)
    work.status = "closed"
    return 200, {
        "erased": str(work.member_id),
        "with": [str(one.member_id) for one in merged],
        "erased_at": work.now.isoformat(),
        "balance": work.books.wallet.as_balance(),
    }


def _forget(work: MemberWork) -> None:
    gone = MemberErased()
    body = problem_bytes(gone, work.session.request_id).decode()
    answers = {"personal_of": work.member_id, "status": gone.status, "body": body}
    work.rows.put(ERASED_PROFILE, {"id": work.member_id, "updated_at": work.now})
    work.rows.put(ERASED_IDENTIFIERS, {"member_id": work.member_id})
    work.rows.put(ERASED_CODE, {"member_id": work.member_id})
    work.rows.put(LEFT_SEGMENTS, {"member_id": work.member_id})
    work.rows.put(ERASED_NOTES, {"member_id": work.member_id})
    work.rows.put(ERASED_CONSENTS, {"member_id": work.member_id})
    work.rows.put(ERASED_ANSWERS, answers)
    work.rows.put(
        ERASURE,
        {
            "member_id": work.member_id,
            "program_id": work.program.id,
            "digest": digest_of(work.member_id),
            "actor": work.session.principal.name,
            "erased_at": work.now,
        },
    )
    work.event("member.erased", {}, kind="erase")
    work.touched = True


def _asks_erase(request: EraseMember, program: PublishedProgram) -> list[Ask]:
    return [merged_with(request.member)]


ERASE = Kind(
    "erase",
    member=lambda request: request.member,
    decide=_decide_erase,
    asks=_asks_erase,
    others=lambda request: request.also,
)
