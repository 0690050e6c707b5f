"""What a batch consists of. These models describe it; each command is validated by itself."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from loyalty.http.fields import Body, Code, Ref
from loyalty.members.schemas import AdjustRequest, EnrolRequest, Member
from loyalty.orders.schemas import EarnRequest, ReturnRequest
from loyalty.rewards.schemas import RedeemRequest
from loyalty.standing.schemas import AssignRequest

MAX_COMMANDS: Final = 1_000
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024


class BatchReturn(ReturnRequest):
    """A return, with the order that stands in the path of a single one."""

    order_ref: Ref
    store: Code | None = None


class BatchAssign(AssignRequest):
    """A level by hand, with the member who stands in the path of a single one."""

    member: Member


KINDS: Final = ("enrol", "earn", "redeem", "return", "adjust", "assign")


def _exactly_one(schema: dict[str, Any]) -> None:
    """Say in the contract what types cannot: one of the six is there, and none is null."""
    for name in KINDS:
        described = schema["properties"][name]
        schema["properties"][name] = described["anyOf"][0]
    schema["oneOf"] = [{"required": [name]} for name in KINDS]


class BatchCommand(Body):
    """One command: its own idempotency key, and exactly one of the six."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)

    idempotency_key: Annotated[str, Field(pattern=r"^[!-~]{1,255}$", examples=["6f1c-1"])]
    enrol: EnrolRequest | None = None
    earn: EarnRequest | None = None
    redeem: RedeemRequest | None = None
    return_: Annotated[BatchReturn | None, Field(alias="return")] = None
    adjust: AdjustRequest | None = None
    assign: BatchAssign | None = None


class BatchRequest(Body):
    """Commands in their order; those of one member take effect one after the other."""

    commands: list[BatchCommand] = Field(min_length=1, max_length=MAX_COMMANDS)
