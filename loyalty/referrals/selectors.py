"""Read referrals for people and other systems."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from loyalty.errors import MemberNotFound
from loyalty.ledger.models import MemberState
from loyalty.referrals.models import Referral, ReferralCode, ReferralStep


@dataclass(frozen=True, slots=True)
class Friend:
    """Somebody whom a member brought.

    Attributes:
        points: What the member got for it; what was taken back is not in it.
        is_due: Whether the member is still to be told of it, or given for it.
    """

    member_id: UUID
    state: str
    joined_at: datetime
    changed_at: datetime
    points: int
    is_due: bool


@dataclass(frozen=True, slots=True)
class Brought:
    """A member in the eyes of referrals: by whom they were brought, and what they bring others by.

    Attributes:
        code: Empty for who was erased.
    """

    code: str
    referrer_id: UUID | None


def member_of_code(program_id: int, code: str) -> UUID:
    """Give whose code it is.

    Raises:
        MemberNotFound: Nobody of this program has it.
    """
    found = ReferralCode.objects.filter(program_id=program_id, code=code)
    member_id = found.values_list("member_id", flat=True).first()
    if member_id is None:
        raise MemberNotFound()
    return member_id


def read_brought(member_id: UUID) -> Brought:
    """Read a member's code and who brought them."""
    code = ReferralCode.objects.filter(member_id=member_id).values_list("code", flat=True).first()
    row = Referral.objects.filter(pk=member_id).first()
    return Brought(code or "", row.referrer_id if row else None)


def list_friends(member_id: UUID, *, most: int) -> list[Friend]:
    """List whom a member, or who was merged into them, brought; the newest first."""
    merged = MemberState.objects.filter(merged_into=member_id).values_list("pk", flat=True)
    people = [member_id, *merged]
    rows = Referral.objects.filter(referrer_id__in=people).order_by("-created_at", "pk")[:most]
    friends = [row.pk for row in rows]
    steps = list(ReferralStep.objects.filter(member_id__in=people, friend_id__in=friends))
    return [_friend(row, [step for step in steps if step.friend_id == row.pk]) for row in rows]


def _friend(row: Referral, steps: Sequence[ReferralStep]) -> Friend:
    return Friend(
        member_id=row.pk,
        state=row.state,
        joined_at=row.created_at,
        changed_at=row.changed_at,
        points=0 if row.state == "reversed" else sum(step.points for step in steps),
        is_due=any(step.settled_at is None for step in steps),
    )
