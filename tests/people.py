"""What support says about people at a till of tests/factories.py: merge, and take that back."""

from typing import Literal

from loyalty.engine.commands import Command
from loyalty.members import erasing, merging
from loyalty.members.identifiers import MemberRef
from loyalty.members.schemas import (
    EraseMember,
    EraseRequest,
    MergeMembers,
    MergeRequest,
    UnmergeMember,
    UnmergeRequest,
)
from tests.factories import Reply, Till


def merging_of(till: Till, card: str, into: str, *, key: str | None = None) -> Command:
    """Make the command that merges a member into another one."""
    body = MergeRequest.model_validate({"into": f"card:{into}", "reason": "the same person"})
    payload = MergeMembers(MemberRef("card", card), body)
    return till.command(merging.MERGE, payload, card, into, key=key)


def merge(till: Till, card: str, into: str) -> Reply:
    """Merge a member into another one."""
    return till.send(merging_of(till, card, into))[0]


def unmerge(till: Till, card: str, *, by: Literal["id", "card"] = "id") -> Reply:
    """Take a merge back; the merged member is named by id, which the till remembers by card."""
    member = till.ids[card]
    named = MemberRef(by, member if by == "id" else card)
    payload = UnmergeMember(named, UnmergeRequest())
    return till.send(till.command(merging.UNMERGE, payload, member))[0]


def erase(till: Till, card: str) -> Reply:
    """Erase what names a member."""
    payload = EraseMember(MemberRef("card", card), EraseRequest())
    return till.send(till.command(erasing.ERASE, payload, card))[0]
