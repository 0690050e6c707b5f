"""What callers send to try a program."""

from pydantic import Field

from loyalty.members.schemas import Member
from loyalty.orders.schemas import OrderOrActivity


class PreviewRequest(OrderOrActivity):
    """A basket or an activity to try on the draft."""

    member: Member | None = Field(
        default=None,
        description="Left out: somebody who joins with it. Needs members:read too.",
    )
