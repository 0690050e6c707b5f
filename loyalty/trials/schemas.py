"""What callers send to try a program."""

from pydantic import Field

from loyalty.http.fields import Body
from loyalty.members.schemas import Member
from loyalty.orders.schemas import Order


class PreviewRequest(Body):
    """A basket to try on the draft."""

    member: Member | None = Field(
        default=None,
        description="Left out: somebody who joins with this purchase. Needs members:read too.",
    )
    order: Order
