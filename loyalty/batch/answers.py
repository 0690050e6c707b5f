"""What a batch answers; it describes the contract, and a test holds answers to it."""

from typing import Any

from pydantic import BaseModel, Field


class BatchResult(BaseModel):
    """The outcome of one command: what the single call would have answered."""

    status: int = Field(examples=[201])
    replayed: bool = Field(default=False, description="The first answer again.")
    body: dict[str, Any]


class BatchAnswer(BaseModel):
    """Outcomes in the order of the commands."""

    results: list[BatchResult]
