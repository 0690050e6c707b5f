"""The shape of a program: what a file, the admin and the API may say, checked in one place.

Pure: pydantic models; no Django, no database. `validate` turns what somebody wrote into the
canonical document, with all defaults written out, and refuses the rest with sentences and JSON
pointers. The blocks stand in `shapes/`. Source: docs/program_file.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from loyalty.programs import checks
from loyalty.programs.currencies import SCALES
from loyalty.programs.problems import DocumentInvalid, Problem, explain, models_in
from loyalty.programs.shapes.campaigns import CampaignEntry
from loyalty.programs.shapes.earning import EarningRuleEntry
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.points import PointsEntry
from loyalty.programs.shapes.program import ProgramHead, StoreEntry
from loyalty.programs.shapes.rewards import RewardEntry
from loyalty.programs.shapes.tiers import TiersEntry
from loyalty.programs.values import Context, NoneAsNull

T = TypeVar("T", bound=Entry)


class ProgramDocument(ProgramHead):
    """A whole program."""

    points: PointsEntry
    stores: Annotated[list[StoreEntry], Field(max_length=20_000)] = []
    earning_rules: Annotated[list[EarningRuleEntry], Field(max_length=200)] = []
    campaigns: Annotated[list[CampaignEntry], Field(max_length=200)] = []
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
