"""What calls about trials answer; they describe the contract."""

from typing import Literal

from pydantic import BaseModel, Field

from loyalty.orders.answers import EarnAnswer


class LinePoints(BaseModel):
    """What a line would earn."""

    line: str
    points: int


class PreviewedEarn(EarnAnswer):
    """What an earn would answer, with the points of each line."""

    lines: list[LinePoints]


class Refusal(BaseModel):
    """Why a till would be refused."""

    status: int
    code: str
    detail: str


class Previewed(BaseModel):
    """One program's side of a preview."""

    outcome: Literal["earned", "refused"]
    earn: PreviewedEarn | None
    refusal: Refusal | None


class PreviewAnswer(BaseModel):
    """A basket under the live program and under the draft; nothing was written."""

    live: Previewed | None = Field(description="Null where nothing is published yet.")
    draft: Previewed
    points_difference: int = Field(description="How many points more the draft gives.")
