"""Every type of event with what it says: the contract with whoever reads events.

A field may be added under the same version; nothing that is here changes its meaning or goes. What
must, comes as a new version beside the old one. Words that people typed are in none of them, but
for the note of a delivery, which is written for whoever gets it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema

from loyalty.events.answers import Event

Points = Annotated[int, Field(description="Whole points.")]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Transaction = Annotated[str, Field(description="The ledger transaction, as the API calls it.")]


class Data(BaseModel):
    """What an event says beside its envelope."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Nothing(Data):
    """The type says it all."""


class Enrolled(Data):
    identifiers: list[str] = Field(description="Types of the identifiers, never the identifiers.")
    referrer: str | None = Field(default=None, description="Who brought them, if anybody.")


class Updated(Data):
    changed: list[str] = Field(description="Names of what changed, never the values.")
    status: str | None = None
    added: str | None = Field(default=None, description="Type of an identifier that was added.")


class Moved(Data):
    points: Points
    pending: Points
    debt: Points
    orders: int
    identifiers: int


class Merged(Moved):
    into: str | None = Field(default=None, description="The survivor; in the merged one's event.")
    merged: str | None = Field(default=None, description="Who was merged; in the survivor's event.")


class Unmerged(Moved):
    survivor: str | None = Field(default=None, alias="from")
    unmerged: str | None = None


class Inactive(Data):
    days: int
    last_active_on: Day


class Birthday(Data):
    on: Day


class Anniversary(Data):
    on: Day
    years: int


class Earned(Data):
    """By an order (the envelope's cause names it), an activity, or joining and birthdays."""

    transaction: Transaction
    points: Points
    expires_at: Instant | None
    active_at: Instant | None = Field(default=None, description="From when they can be spent.")
    store: str | None = None
    activity: str | None = None
    ref: str | None = Field(default=None, description="The activity's reference.")


class Matured(Data):
    transaction: Transaction
    points: Points


class EndedLot(Data):
    points: Points
    expires_at: str


class Expired(Data):
    transaction: Transaction
    points: Points
    lots: list[EndedLot] = Field(default=[], description="Not where points came in too late.")
    activity: str | None = None
    ref: str | None = None


class Expiring(Data):
    points: Points
    expires_at: Instant = Field(description="When the first of them end.")
    last_day: Day = Field(
        description="The last day on which these can be used, in the program's time zone."
    )
    days: int = Field(description="Which notice of the program's this is.")
    lots: list[EndedLot]


class Adjusted(Data):
    transaction: Transaction
    points: int = Field(description="Negative where points were taken.")
    expires_at: Instant | None = None


class ClawedBack(Data):
    transaction: Transaction
    points: Points
    debt: Points
    written_off: Points
    from_other_lots: Points


class Released(Data):
    redemption: str
    points: Points
    expired: Points = Field(description="Of these, points whose time had ended meanwhile.")
    reason: str = Field(description="void, capture (of a part), lapsed, or what else ended it.")


class Redemption(Data):
    redemption: str
    reward: str | None = Field(description="None where points were paid with.")
    points: Points
    state: str
    gives: dict[str, Any]
    fulfilment: str | None
    given_for: str | None = Field(
        default=None, description="What gave it by itself, such as tier_entry or auto_redeem."
    )


class Redeemed(Redemption):
    captured: Points | None = Field(default=None, description="Of a hold that was captured.")


class Reinstated(Redemption):
    points: Points
    expired: Points
    grace: Points = Field(description="In new lots, because the old ones had ended.")


class Missed(Data):
    """A level gives a reward, and it could not be given."""

    reward: str
    level: str
    reason: str = Field(description="A code, as the catalogue gives it: sold_out and so on.")
    because: str = Field(description="The same for people.")


class StockLow(Data):
    reward: str
    left: int
    pool: str | None = Field(default=None, description="The pool of codes that runs low.")


class LevelChanged(Data):
    before: str = Field(alias="from")
    to: str
    metric: str = Field(description="What counts towards levels, as the program measures it.")
    valid_until: Day | None


class Renewed(Data):
    level: str
    valid_until: Day | None


class DowngradeWarning(Data):
    level: str
    grace_until: Day | None
    missing: str = Field(description="What is missing to stay, as the program measures it.")


class Referred(Data):
    friend: str = Field(description="Who joined with this member's code.")


class ReferralCounted(Referred):
    points: Points = Field(description="What it gave to this member, or took back; 0 for nothing.")


class Suspicion(Data):
    """More in one hour than the program takes for usual; it stopped nobody."""

    pattern: Literal["orders", "adjustments"] = Field(
        description="Orders of this member, or adjustments by one key or person."
    )
    count: int
    most: int = Field(description="So many are usual, by the program.")
    actor: str | None = Field(description="Who adjusted; the event is of the last member of it.")
    at: Instant = Field(description="When the last of them happened.")


class Recorded(Data):
    ref: str
    store: str | None
    channel: str | None
    state: str
    net_amount: str
    currency: str
    lines: int
    points: int


class ReturnedLine(Data):
    line: str
    quantity: str


class Returned(Data):
    """A return by lines; or, of an order that is sent as it is now, what is left of it."""

    ref: str
    currency: str
    complete: bool = Field(description="Nothing is left of the order.")
    return_: str | None = Field(default=None, alias="return")
    lines: list[ReturnedLine] | None = None
    amount: str | None = None
    state: str | None = None
    net_amount: str | None = None


CATALOGUE: Final[Mapping[str, type[Data]]] = {
    "member.enrolled": Enrolled,
    "member.updated": Updated,
    "member.inactive": Inactive,
    "member.birthday": Birthday,
    "member.anniversary": Anniversary,
    "member.merged": Merged,
    "member.unmerged": Unmerged,
    "member.erased": Nothing,
    "points.pending": Earned,
    "points.earned": Earned,
    "points.matured": Matured,
    "points.redeemed": Redeemed,
    "points.held": Redemption,
    "points.released": Released,
    "points.clawed_back": ClawedBack,
    "points.reinstated": Reinstated,
    "points.adjusted": Adjusted,
    "points.expired": Expired,
    "points.expiring": Expiring,
    "tier.upgraded": LevelChanged,
    "tier.downgraded": LevelChanged,
    "tier.renewed": Renewed,
    "tier.downgrade_warning": DowngradeWarning,
    "reward.issued": Redemption,
    "reward.missed": Missed,
    "reward.first_redemption": Redemption,
    "reward.stock_low": StockLow,
    "reward.ordered": Redemption,
    "reward.shipped": Redemption,
    "reward.delivered": Redemption,
    "reward.cancelled": Redemption,
    "referral.created": Referred,
    "referral.converted": ReferralCounted,
    "referral.reversed": ReferralCounted,
    "fraud.signal": Suspicion,
    "order.recorded": Recorded,
    "order.returned": Returned,
}
"""What each type's `data` is, in the order in which people are shown them; all are version 1."""


class _Plain(GenerateJsonSchema):
    """Leaves titles out, and lets readers take fields that come later."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a field's name is its title."""
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Describe an object without refusing what it does not name."""
        found = super().model_schema(schema)
        found.pop("additionalProperties", None)
        return found


def json_schema(type_: str) -> dict[str, Any]:
    """Describe a whole event of this type as JSON Schema 2020-12."""
    name = "".join(part.title() for part in type_.replace(".", "_").split("_"))
    fields: dict[str, Any] = {
        "type": (Literal[type_], ...),
        "version": (Literal[1], ...),
        "data": (CATALOGUE[type_], ...),
    }
    shape = create_model(name, __base__=Event, **fields)
    schema = shape.model_json_schema(by_alias=True, schema_generator=_Plain)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:loyalty:event:{type_}:1",
        **schema,
        "title": type_,
    }
