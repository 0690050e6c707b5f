"""The shape of a program: what a file, the admin and the API may say, checked in one place.

Pure: pydantic models; no Django, no database. `validate` turns what somebody wrote into the
canonical document, with all defaults written out, and refuses the rest with sentences and JSON
pointers. Source: docs/program_file.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic.fields import FieldInfo

from loyalty.programs import checks
from loyalty.programs.currencies import SCALES, format_amount
from loyalty.programs.problems import DocumentInvalid, Problem, explain, models_in
from loyalty.programs.values import (
    Amount,
    Code,
    Context,
    Currency,
    Days,
    Factor,
    IsoDate,
    MonthDay,
    NoneAsNull,
    Points,
    PositiveAmount,
    ProgramCode,
    Text,
    Threshold,
    TimeZone,
    Window,
)

NOTICE_DAYS = (30, 7)


class Entry(BaseModel):
    """A block of keys; a key that it does not know is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


T = TypeVar("T", bound=Entry)


class ValueEntry(Entry):
    """So many points pay for that amount."""

    points: Points
    amount: PositiveAmount


class ExpiryEntry(Entry):
    """When points expire: some months after the order, or on fixed dates."""

    months: Annotated[int, Field(ge=1, le=1200)] | None = None
    until: Literal["day", "end_of_month", "end_of_year"] | None = None
    dates: Annotated[list[MonthDay], Field(min_length=1, max_length=366)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.months is None) == (self.dates is None):
            raise ValueError('needs either months or dates, or is "none"')
        if self.dates is not None and self.until is not None:
            raise ValueError("until goes with months, not with dates")
        if self.months is not None:
            self.until = self.until or "day"
        return self


class PointsEntry(Entry):
    """How points behave."""

    name: Text = "points"
    rounding: Literal["down", "nearest", "up"] = "down"
    basis: Literal["net"] = "net"
    value: ValueEntry | None = None
    maturity_days: Days = 0
    hold_minutes: Annotated[int, Field(ge=1, le=43_200)] = 30
    unknown_member: Literal["refuse", "enrol"] = "refuse"
    expiry: Annotated[ExpiryEntry | None, NoneAsNull] = None
    clawback: Literal["debt", "within_balance", "write_off"] = "debt"
    expiring_notice_days: Annotated[
        list[Annotated[int, Field(ge=1, le=366)]], Field(max_length=10)
    ] = list(NOTICE_DAYS)
    accept_late_days: Days = 400
    lapsed: Literal["expire", "grace"] = "expire"
    lapsed_grace_days: Annotated[int, Field(ge=1, le=366)] = 14

    @model_validator(mode="after")
    def _defaults_and_order(self, info: ValidationInfo) -> Self:
        if self.value is None:
            scale = cast(Context, info.context)["scale"]
            one = format_amount(10**scale, scale)
            self.value = ValueEntry.model_construct(points=100, amount=one)
        months = self.expiry.months if self.expiry else None
        if months is not None and self.maturity_days >= 28 * months:
            raise ValueError("points would expire before they can be used: see maturity_days")
        return self


class StoreEntry(Entry):
    """A place where members buy."""

    code: Code
    name: Text | None = None

    @model_validator(mode="after")
    def _name_from_code(self) -> Self:
        self.name = self.name or self.code
        return self


class WhenEntry(Entry):
    """For which lines and orders a rule is."""

    category: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    brand: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    store: Annotated[list[Code], Field(min_length=1, max_length=1000)] | None = None
    order_amount_min: Amount | None = None


def _in_order(entry: "EarningRuleEntry | RewardEntry") -> None:
    if entry.from_ and entry.to and entry.from_ > entry.to:
        raise ValueError(f"ends on {entry.to}, before it starts on {entry.from_}")


class EarningRuleEntry(Entry):
    """One standing rule: points for the amount, more of them, or a fixed number."""

    code: Code
    name: Text | None = None
    active: bool = True
    trigger: Literal["order", "member.enrolled"] = "order"
    points: Points | None = None
    per: PositiveAmount | None = None
    steps: Literal["whole", "proportional"] | None = None
    multiply: Factor | None = None
    bonus: Points | None = None
    when: WhenEntry | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @property
    def kind(self) -> Literal["base", "multiplier", "bonus"]:
        """What the rule does, by the keys that it has."""
        if self.multiply is not None:
            return "multiplier"
        return "base" if self.bonus is None else "bonus"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        base = self.points is not None or self.per is not None
        if base + (self.multiply is not None) + (self.bonus is not None) != 1:
            raise ValueError("needs either points and per, or multiply, or bonus")
        if base and (self.points is None or self.per is None):
            raise ValueError("needs both points and per: 1 point per amount")
        if self.steps is not None and not base:
            raise ValueError("steps goes with points and per")
        if self.multiply == "1":
            raise ValueError('multiply must be more than "1": it adds to the base points')
        return self

    @model_validator(mode="after")
    def _fits_its_trigger(self) -> Self:
        _in_order(self)
        if self.when is not None and not self.when.model_dump(exclude_none=True):
            self.when = None
        if self.trigger == "member.enrolled" and (self.kind != "bonus" or self.when):
            raise ValueError("the trigger member.enrolled goes with a bonus, and without when")
        if self.kind == "base":
            self.steps = self.steps or "whole"
        return self


class TierLevelEntry(Entry):
    """A level, from a threshold on."""

    code: Code
    name: Text | None = None
    from_: Threshold = Field(alias="from")
    earn_multiplier: Factor = "1"

    @model_validator(mode="after")
    def _name_from_code(self) -> Self:
        self.name = self.name or self.code.replace("-", " ").replace("_", " ").capitalize()
        return self


class TiersEntry(Entry):
    """What counts, over which time, the levels, and how members fall."""

    qualify_by: Literal["spend", "points", "orders"] = "spend"
    window: Window = {"rolling_months": 12}
    levels: Annotated[list[TierLevelEntry], Field(min_length=1, max_length=50)]
    downgrade: Literal["one_level", "recalculate", "never"] = "one_level"
    grace_days: Annotated[int, Field(ge=0, le=366)] = 30


class GivesEntry(Entry):
    """What a reward is."""

    amount_off: PositiveAmount | None = None
    product: Text | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.amount_off is None) == (self.product is None):
            raise ValueError("needs either amount_off or product")
        return self


class PerMemberEntry(Entry):
    """How often one member may have a reward."""

    times: Annotated[int, Field(ge=1, le=10_000)]
    per: Literal["day", "week", "month", "year", "ever"] = "ever"


class RewardEntry(Entry):
    """What the catalogue offers."""

    code: Code
    name: Text
    active: bool = True
    cost: Points
    gives: GivesEntry
    stock: Annotated[int, Field(ge=0, le=10**9)] | None = None
    per_member: PerMemberEntry | None = None
    tiers: Annotated[list[Code], Field(min_length=1, max_length=50)] | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @model_validator(mode="after")
    def _dates(self) -> Self:
        _in_order(self)
        return self


class ProgramHead(Entry):
    """What a program is called, and where it lives."""

    program: ProgramCode
    name: Text
    timezone: TimeZone
    currency: Currency


class ProgramDocument(ProgramHead):
    """A whole program."""

    points: PointsEntry
    stores: Annotated[list[StoreEntry], Field(max_length=20_000)] = []
    earning_rules: Annotated[list[EarningRuleEntry], Field(max_length=200)] = []
    tiers: Annotated[TiersEntry | None, NoneAsNull] = None
    rewards: Annotated[list[RewardEntry], Field(max_length=2_000)] = []


def validate(written: object) -> dict[str, Any]:
    """Turn what somebody wrote into the canonical document of a program.

    Amounts have all their decimals, defaults are written out, stores are sorted by code: two
    programs are the same where their documents are equal.

    Raises:
        DocumentInvalid: With all problems that were found.
    """
    if not isinstance(written, Mapping):
        raise DocumentInvalid([Problem((), "a program is a block of keys: program, name, ...")])
    program = parse(ProgramDocument, {"points": {}, **written}, context_of(written))
    problems = checks.check(program)
    if problems:
        raise DocumentInvalid(problems)
    canonical = program.model_dump(by_alias=True, exclude_none=True)
    canonical["points"].setdefault("expiry", "none")
    canonical["stores"].sort(key=lambda store: store["code"])
    return canonical


def parse(model: type[T], written: Mapping[str, Any], context: Context) -> T:
    """Read one block of a program.

    Raises:
        DocumentInvalid: With paths from this block on.
    """
    try:
        return model.model_validate(dict(written), context=dict(context))
    except ValidationError as error:
        found = error.errors(include_url=False)
    raise DocumentInvalid(explain(each, model) for each in found)


def in_order(document: Mapping[str, Any], model: type[BaseModel] = ProgramDocument) -> Any:
    """Put a document's keys into the order in which people read them.

    Columns of JSON forget it. Nothing is checked: an old version may be of an older shape.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    keys = [*(key for key in fields if key in document), *(set(document) - set(fields))]
    return {key: _below(document[key], fields.get(key)) for key in keys}


def _below(value: Any, field: FieldInfo | None) -> Any:
    model = next(models_in(field.annotation), None) if field else None
    if model and isinstance(value, Mapping):
        return in_order(value, model)
    if model and isinstance(value, list):
        return [in_order(item, model) for item in value]
    return value


def context_of(written: Mapping[str, Any]) -> Context:
    """Tell how the amounts of a program are to be read; lenient where that is itself wrong."""
    currency, tiers = written.get("currency"), written.get("tiers")
    qualify_by = tiers.get("qualify_by", "spend") if isinstance(tiers, Mapping) else "spend"
    scale = SCALES.get(currency, 4) if isinstance(currency, str) else 4
    return Context(scale=scale, qualify_by=str(qualify_by))
