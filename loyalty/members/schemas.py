"""What callers send about members, and the payloads that services get."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from loyalty.http.fields import (
    WORD,
    Body,
    Day,
    Instant,
    OptionalName,
    OptionalReason,
    Reason,
    SignedPoints,
)
from loyalty.members.identifiers import IdentifierType, MemberRef, normalise, parse_member_ref
from loyalty.referrals.rules import normalise_code

REFERENCE_PATTERN: Final = (
    "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(card|external): *[^ ].*)$"
)


class _MemberRefSchema:
    """Read a member reference from a string."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            parse_member_ref, core_schema.str_schema(strict=True, min_length=1, max_length=200)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "pattern": REFERENCE_PATTERN,
            "description": "The member's id, or `card:…`, or `external:…`.",
            "examples": ["card:2261", "external:shopify-77"],
        }


Member = Annotated[MemberRef, _MemberRefSchema]

AttributeName = Annotated[str, Field(pattern=WORD, max_length=50)]


class _AttributeValueSchema:
    """One check with one sentence; a union would list what each of its five types minds."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_check_attribute)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "string", "maxLength": 500, "pattern": r"^[^\u0000]*$"},
                {"type": "number", "minimum": -(2**53), "maximum": 2**53},
                {"type": "boolean"},
                {"type": "null"},
            ]
        }


def _check_attribute(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 500 and "\x00" not in value:
        return value
    if isinstance(value, int | float) and -(2**53) <= value <= 2**53:
        return value
    raise ValueError(
        "an attribute is a text of 500 characters at most, a number, true, false or null"
    )


AttributeValue = Annotated[bool | float | str | None, _AttributeValueSchema]
Attributes = Annotated[
    dict[AttributeName, AttributeValue],
    Field(
        max_length=50,
        description="What else is known of the member; null removes an attribute.",
        examples=[{"shoe_size": 42, "newsletter": True}],
    ),
]


class IdentifierInput(Body):
    """A card, an email, a phone or another system's id."""

    type: IdentifierType
    value: str = Field(min_length=1, max_length=300, examples=["2261"])
    verified: bool = Field(
        default=False,
        description="The caller has proof that it is the member's, such as a code that was sent to"
        " the address and came back. By emails and phones that are not verified, CRMs and shops"
        " are not matched with members, unless a connection says so.",
    )

    @field_validator("value")
    @classmethod
    def _normalise(cls, value: str, info: ValidationInfo) -> str:
        return normalise(info.data["type"], value) if "type" in info.data else value


class Profile(Body):
    """Personal data; in a change, null or "" clears a field and an absent field stays."""

    first_name: OptionalName | None = None
    last_name: OptionalName | None = None
    birth_date: Day | None = Field(default=None, description="From 1900 on, and not in the future.")
    language: str | None = Field(
        default=None, max_length=10, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,6})?$", examples=["en"]
    )

    def is_born_by(self, now: datetime) -> bool:
        """Say whether the day of birth has come, wherever on earth it comes first (UTC+14)."""
        latest = (now.astimezone(UTC) + timedelta(hours=14)).date()
        return self.birth_date is None or self.birth_date <= latest


TypedCode = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        description="The referral code of the member who brought them, as they typed it: small"
        " letters, spaces and hyphens do not matter. Never changed afterwards.",
        examples=["K7QM-2XPB"],
    ),
    AfterValidator(normalise_code),
]


class EnrolRequest(Body):
    """A new member, with at least one identifier by which tills find them."""

    identifiers: list[IdentifierInput] = Field(min_length=1, max_length=20)
    profile: Profile = Field(default_factory=Profile)
    attributes: Attributes = Field(default_factory=dict)
    referred_by: TypedCode | None = None

    @model_validator(mode="after")
    def _no_identifier_twice(self) -> Self:
        if len({(i.type, i.value) for i in self.identifiers}) != len(self.identifiers):
            raise ValueError("the same identifier is listed twice")
        return self


class UpdateRequest(Body):
    """What to change of a member; absent fields stay as they are."""

    profile: Profile | None = None
    attributes: Attributes | None = None
    status: Literal["active", "frozen"] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.profile is None and self.attributes is None and self.status is None:
            raise ValueError("nothing to change: send profile, attributes or status")
        return self


class LookupRequest(Body):
    """The identifier of the member that is wanted, or their referral code."""

    type: IdentifierType | Literal["referral"]
    value: str = Field(min_length=1, max_length=300, examples=["2261"])

    @field_validator("value")
    @classmethod
    def _normalise(cls, value: str, info: ValidationInfo) -> str:
        type_ = info.data.get("type")
        if type_ == "referral":
            return normalise_code(value)
        return normalise(type_, value) if type_ else value


class AdjustRequest(Body):
    """A manual change of points; the API key is its actor."""

    member: Member
    points: SignedPoints
    reason: Reason
    expires_at: Instant | None = Field(
        default=None, description="Of the points that are given; the program's rule unless set."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.points == 0:
            raise ValueError("give some points or take some, not 0")
        if self.points < 0 and self.expires_at is not None:
            raise ValueError("only points that are given have an expires_at")
        return self


@dataclass(frozen=True, slots=True)
class UpdateMember:
    """PATCH /v1/members/{member}."""

    member: MemberRef
    body: UpdateRequest


@dataclass(frozen=True, slots=True)
class AddIdentifier:
    """POST /v1/members/{member}/identifiers."""

    member: MemberRef
    body: IdentifierInput


@dataclass(frozen=True, slots=True)
class RemoveIdentifier:
    """DELETE /v1/members/{member}/identifiers/{identifier_id}."""

    member: MemberRef
    identifier_id: int


class MergeRequest(Body):
    """Into whom to merge the member of the path; that one goes on."""

    into: Member
    reason: OptionalReason = ""


class UnmergeRequest(Body):
    """Why a merge is taken back."""

    reason: OptionalReason = ""


class EraseRequest(Body):
    """Nothing more needs to be said."""


@dataclass(frozen=True, slots=True)
class EraseMember:
    """POST /v1/members/{member}/erase; `also` collects who was merged before: the same person."""

    member: MemberRef
    body: EraseRequest
    also: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MergeMembers:
    """POST /v1/members/{member}/merge; `also` collects who was merged before and must be locked."""

    member: MemberRef
    body: MergeRequest
    also: list[tuple[str, str]] = field(default_factory=list)

    @property
    def into(self) -> MemberRef:
        """The member who goes on."""
        return self.body.into


@dataclass(frozen=True, slots=True)
class UnmergeMember:
    """POST /v1/members/{member}/unmerge; `member` leads to the survivor, `account` does not.

    `also` collects who was merged before and must be locked.
    """

    member: MemberRef
    body: UnmergeRequest
    also: list[tuple[str, str]] = field(default_factory=list)

    @property
    def account(self) -> tuple[str, str]:
        """The merged member's own rows."""
        kind = "account" if self.member.type == "id" else self.member.type
        return (kind, self.member.value)


@dataclass(frozen=True, slots=True)
class DecideAdjustment:
    """A second person approves or declines; `account` and `number` name the request."""

    account: UUID
    number: int
    approve: bool
    reason: str

    @property
    def member(self) -> MemberRef:
        """Whose points it is about; the survivor's where they were merged since."""
        return MemberRef("id", str(self.account))
