"""What callers send about a member's tier."""

from dataclasses import dataclass

from pydantic import Field

from loyalty.engine.commands import MemberRef
from loyalty.http.fields import Body, Code, Day, Reason


class AssignRequest(Body):
    """A level by hand; the API key is its actor."""

    level: Code | None = Field(
        description="A level of the program, or null to take an assigned one back.",
        examples=["gold"],
    )
    until: Day | None = Field(
        default=None, description="The last day on which it is kept; for good unless set."
    )
    reason: Reason


@dataclass(frozen=True, slots=True)
class AssignLevel:
    """POST /v1/members/{member}/tier."""

    member: MemberRef
    body: AssignRequest
