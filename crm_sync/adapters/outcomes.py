"""What a destination did with one thing that it was sent: one of these, never a boolean.

- Delivered: the destination has it.
- Retryable: it may work later (no answer, busy, an error of theirs).
- Permanent: this one will never be taken; others may.
- Ambiguous: it cannot be told what sending it again would do, or who is meant.
- Skipped: the destination does not have the person, and may not be given them: no error.
- Configuration: nothing will be taken until a person changes something.
- Postponed: it was not sent, to keep within the vendor's limits; counts as nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

ANSWER_CHARACTERS = 2048
ID_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a destination did with one delivery.

    Attributes:
        answer: What it said, at most ANSWER_CHARACTERS.
        error: One sentence for the person who looks at the delivery; empty if it was delivered.
        notice: What the connection cannot do as it is set up, for the person who looks after it,
            such as a plan that is missing at the vendor.
    """

    status_code: int | None = None
    answer: str = ""
    error: str = ""
    notice: str = ""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Outcome):
    """The destination has it.

    Attributes:
        vendor_id: What the vendor calls the person, if it said so.
    """

    vendor_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable(Outcome):
    """It may work later.

    Attributes:
        retry_after: Seconds that the destination asked for.
        throttled: The destination is too busy: spare it as a whole, not only this lane.
        may_have_arrived: The call was made and not answered properly: it may have been taken.
    """

    retry_after: float | None = None
    throttled: bool = False
    may_have_arrived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permanent(Outcome):
    """This one will never be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Outcome):
    """There is nobody to tell it of: a vendor that only knows who subscribed, and they did not.

    `error` says so to whoever looks. What happens to the person later is sent as ever.
    """


class Doubt(StrEnum):
    """Why nobody but a person can tell.

    MAYBE_TAKEN: it may be there already, and the vendor does not notice repeats; a repeat is a
    nuisance, so it is tried a few times, and then parked. MUST_NOT_REPEAT: a repeat costs money,
    so it is parked at once. SEVERAL_MATCHES: more than one person at the vendor fits, or one
    only by what nobody has verified.
    """

    MAYBE_TAKEN = "maybe_taken"
    MUST_NOT_REPEAT = "must_not_repeat"
    SEVERAL_MATCHES = "several_matches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous(Outcome):
    """It cannot be told what sending it again would do, or who is meant.

    Attributes:
        candidates: Ids at the vendor to choose from, where several people match.
    """

    reason: Doubt
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Outcome):
    """Nothing will be taken until a person changes something; `gone`: stop at once."""

    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed(Outcome):
    """It was not sent: in so many seconds the vendor's limits allow it."""

    seconds: float


_SEVERAL_MATCH: Final = "Several people at the vendor match: choose one at the connection's people."
_UNPROVEN_MATCH: Final = (
    "Somebody at the vendor has the {}, and nobody has verified that it is the member's: say at "
    "the connection's people whether it is them."
)


def in_doubt(outcome: Outcome, reason: Doubt = Doubt.MAYBE_TAKEN) -> Outcome:
    """Say that a repeat may double, for vendors that do not recognise one."""
    if not isinstance(outcome, Retryable) or not outcome.may_have_arrived:
        return outcome
    return Ambiguous(
        status_code=outcome.status_code,
        answer=outcome.answer,
        error=f"{outcome.error} It may have arrived all the same.",
        duration_ms=outcome.duration_ms,
        reason=reason,
    )


def several_match(candidates: Iterable[str], error: str = "") -> Outcome:
    """Say that a person has to choose who at the vendor is meant."""
    return Ambiguous(
        reason=Doubt.SEVERAL_MATCHES,
        error=error or _SEVERAL_MATCH,
        candidates=tuple(candidates),
    )


def unproven_match(matched_by: str, vendor_id: str) -> Outcome:
    """Say that a person has to tell whether somebody at the vendor is the member."""
    return several_match([vendor_id], _UNPROVEN_MATCH.format(matched_by))


def storable(outcome: Outcome) -> Outcome:
    """Cut what a destination or a library said to what a column takes; PostgreSQL takes no NUL.

    An id that does not fit is none.
    """
    if isinstance(outcome, Delivered) and not _is_id(outcome.vendor_id):
        outcome = replace(outcome, vendor_id="")
    if isinstance(outcome, Ambiguous):
        outcome = replace(outcome, candidates=tuple(filter(_is_id, outcome.candidates)))
    error, notice = _cut(outcome.error, 500), _cut(outcome.notice, 500)
    answer = _cut(outcome.answer, ANSWER_CHARACTERS)
    if (error, notice, answer) == (outcome.error, outcome.notice, outcome.answer):
        return outcome
    return replace(outcome, error=error, notice=notice, answer=answer)


def _cut(text: str, characters: int) -> str:
    return text.replace("\x00", "")[:characters]


def _is_id(text: str) -> bool:
    return len(text) <= ID_CHARACTERS and "\x00" not in text
