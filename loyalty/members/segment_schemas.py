"""What callers send about segments, and what they get."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from loyalty.http.fields import Body, Name
from loyalty.members.identifiers import parse_any_ref
from loyalty.members.segments import CHUNK
from loyalty.programs.values import Code

SEGMENT_CODE: Final[TypeAdapter[str]] = TypeAdapter(Code)
"""As rules and rewards name a segment."""


class _AnyRefSchema:
    """Read a member reference that may be an email or a phone number: it stands in no path."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            parse_any_ref, core_schema.str_schema(strict=True, min_length=1, max_length=300)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": 300,
            "description": "The member's id, `card:…`, `external:…`, `email:…` or `phone:…`.",
            "examples": ["card:2261", "email:ada@example.com"],
        }


AnyMember = Annotated[tuple[str, str], _AnyRefSchema]


class SegmentRequest(Body):
    """A segment, as people call it."""

    name: Name | None = Field(
        default=None, description="The code, or what it was, unless given.", examples=["Guests"]
    )


class SegmentMembersRequest(Body):
    """Who comes in and who goes out; sent again it changes nothing."""

    add: list[AnyMember] = Field(default_factory=list, max_length=CHUNK)
    remove: list[AnyMember] = Field(default_factory=list, max_length=CHUNK)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError("send members to add, to remove, or both")
        if set(self.add) & set(self.remove):
            raise ValueError("a member stands in add and in remove")
        return self


class SegmentAnswer(BaseModel):
    """A named set of members."""

    code: str = Field(examples=["guests"])
    name: str
    members: int
    created_at: datetime
    changed_at: datetime = Field(description="When members last came in or went out.")


class SegmentPage(BaseModel):
    """A page of segments, by code."""

    items: list[SegmentAnswer]
    next_cursor: str | None


class SegmentMemberPage(BaseModel):
    """A page of the members of a segment, by id."""

    items: list[UUID]
    next_cursor: str | None


class SegmentChangeAnswer(BaseModel):
    """What became of a list of members."""

    segment: str
    added: int = Field(description="Who was not in it before.")
    removed: int = Field(description="Who was in it before.")
    unknown: list[str] = Field(
        description="Places of the request that name nobody of the program.", examples=[["/add/3"]]
    )


class SegmentRemoved(BaseModel):
    """A segment was emptied and forgotten."""

    code: str
    removed: Literal[True]
