"""What is wrong with a program, where, and what to do about it.

Pure. A key that the engine will know later is refused in other words than a misspelt one, so that
nobody believes that a rule works which does not exist yet.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from loyalty.errors import ValidationFailed

Path = tuple[str | int, ...]

# Keys of the design that the engine does not act on yet, by the block that they belong to.
NOT_YET: dict[str, set[str]] = {
    "": {"referrals"},
    "rewards[]": {"valid_days"},
    "rewards[].gives": {"points"},
}
NOT_YET_VALUES: dict[str, set[str]] = {
    "earning_rules[].trigger": {
        "member.referred",
        "birthday",
        "anniversary",
    },
}
NOT_SUPPORTED_YET = "is not supported yet; take it out"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where in the document, and a sentence for people."""

    path: Path
    message: str

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer (RFC 6901): /earning_rules/1/when."""
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in self.path)
        return "".join(f"/{part}" for part in parts)

    @property
    def place(self) -> str:
        """The place as people write it: earning_rules[1].when."""
        return dotted(self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else self.message


class DocumentInvalid(ValidationFailed):
    """A program that cannot be used; answered as `validation_failed` with pointers.

    Attributes:
        problems: All that was found, in the order of the document.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(
            "; ".join(str(problem) for problem in self.problems),
            errors=[
                {"pointer": found.pointer, "message": found.message} for found in self.problems
            ],
        )


def told(problem: Problem, document: Mapping[str, Any]) -> str:
    """Tell of a problem with the codes of entries, which people know: rewards[mug].tiers[0].

    Args:
        document: In which it was found.
    """
    found: Any = document
    words = ""
    for step in problem.path:
        try:
            found = found[step]
        except (LookupError, TypeError):
            found = None
        name = found.get("code", step) if isinstance(found, dict) else step
        words += f"[{name}]" if isinstance(step, int) else f".{step}"
    return f"{words.removeprefix('.')}: {problem.message}" if words else problem.message


def dotted(path: Path) -> str:
    """Write a path as people do: earning_rules[1].when."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def explain(error: ErrorDetails, model: type[BaseModel]) -> Problem:
    """Turn an error of pydantic into a sentence for whoever wrote the program.

    Args:
        error: One of `ValidationError.errors()`.
        model: The model that was validated; its keys are offered where one is misspelt.
    """
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return Problem(path, _unknown_key(path, model))
    return Problem(path, _sentence(error, path))


def suggest(word: object, known: Iterable[str]) -> str:
    """Offer the nearest known word: '; did you mean "gold"?', or nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find the models in a type, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def _unknown_key(path: Path, model: type[BaseModel]) -> str:
    block, key = path[:-1], path[-1]
    if key in NOT_YET.get(_pattern(block), ()):
        return NOT_SUPPORTED_YET
    where = _pattern(block).replace("[]", "") or "a program"
    known = _keys(block, model)
    return f"is not a key of {where}{suggest(key, known) or '; it has ' + ', '.join(known)}"


def _pattern(path: Path) -> str:
    return dotted(path) if all(isinstance(part, str) for part in path) else _without_numbers(path)


def _without_numbers(path: Path) -> str:
    words = "".join("[]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def _keys(path: Path, model: type[BaseModel]) -> list[str]:
    """The keys that the block at a path may have."""
    for part in path:
        if isinstance(part, str):
            fields = model.model_fields.items()
            field = next(field for name, field in fields if part in (name, field.alias))
            model = next(models_in(field.annotation))
    return [field.alias or name for name, field in model.model_fields.items()]


def _sentence(error: ErrorDetails, path: Path) -> str:
    kind, given, facts = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(facts["error"])
    if kind == "literal_error":
        if isinstance(given, str) and given in NOT_YET_VALUES.get(_pattern(path), ()):
            return f'"{given}" {NOT_SUPPORTED_YET}'
        return f"must be {facts['expected']}, not {_shown(given)}".replace("'", '"')
    if kind == "string_type" and isinstance(given, int | float):
        return f'must be text; write it in quotes: "{given}"'
    if kind == "int_type" and isinstance(given, str):
        return "must be a whole number, without quotes"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(**facts)
    return error["msg"][:1].lower() + error["msg"][1:]


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


_SENTENCES = {
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": (
        "must begin with a letter or digit and have only letters, digits, '.', '_' and '-'"
    ),
    "list_type": "must be a list: [ ... ]",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "model_type": "must be a block of keys",
    "dict_type": "must be a block of keys",
}
