"""Referral codes, and when a referral counts. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXYZ"
"""No vowels, so that no code is a word; nothing that reads like something else."""

CODE_LENGTH: Final = 8
"""28 to the eighth are 378 thousand million: nobody guesses one that exists."""

NOBODYS: Final = "?"

SEPARATORS: Final = str.maketrans("", "", " -_")


def draw_code(choose: Callable[[str], str]) -> str:
    """Make a code.

    Args:
        choose: Gives one of the letters; `secrets.choice`, so that nobody can guess the next code.
    """
    return "".join(choose(ALPHABET) for _ in range(CODE_LENGTH))


def normalise_code(text: str) -> str:
    """Bring a code into the form in which it is kept, however it was typed.

    What cannot be a code becomes one that nobody has: a database refuses some of what people type.
    """
    code = text.translate(SEPARATORS).upper()
    return code if code and set(code) <= set(ALPHABET) else NOBODYS


@dataclass(slots=True)
class Gift:
    """What somebody got for a referral.

    Attributes:
        awarded_to: In whose ledger it is; None where nothing was given.
        taken: Of limits and budgets, as orders keep it.
    """

    awarded_to: UUID | None = None
    transaction_number: int | None = None
    lot_number: int | None = None
    points: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Referral:
    """A referral as its friend's commands see it.

    Attributes:
        member_id: The friend, as when they joined.
        present_referrer: Who goes on for the referrer, where they were merged since.
        known_since: When the friend, or anybody merged into them, first joined.
    """

    member_id: UUID
    referrer_id: UUID
    present_referrer: UUID
    state: str
    created_at: datetime
    known_since: datetime
    order_scope: str = ""
    order_ref: str = ""
    gift: Gift = field(default_factory=Gift)


@dataclass(frozen=True, slots=True)
class Bought:
    """What a referral sees of a friend's paid order.

    Attributes:
        net: Net amount in minor units, without what came back.
        day, hour: Local ones of `occurred_at`.
    """

    scope: str
    ref: str
    occurred_at: datetime
    day: date
    hour: int
    store: str
    channel: str
    net: int


def may_convert(referral: Referral, *, friend: UUID, joined_on: date, bought: Bought) -> bool:
    """Tell whether an order may convert a referral, whatever the program's rules ask for.

    Nobody brings themselves, and nobody who was a member before they were brought: both can only
    show after a merge. An order from before the day of joining was not brought by anybody.

    Args:
        friend: Who goes on for the friend.
        joined_on: The local day on which the friend joined with the code.
    """
    return (
        referral.state == "open"
        and bought.net > 0
        and bought.day >= joined_on
        and referral.present_referrer != friend
        and referral.known_since >= referral.created_at
    )


def is_oneself(mine: Iterable[tuple[str, str]], theirs: Iterable[Sequence[str]]) -> bool:
    """Tell whether two sets of identifiers are those of one person, by mailbox or phone.

    Args:
        mine, theirs: Pairs of type and normalised value.
    """
    return not _reached_by(mine).isdisjoint(_reached_by(theirs))


def _reached_by(identifiers: Iterable[Sequence[str]]) -> set[tuple[str, str]]:
    found = set()
    for type_, value in identifiers:
        if type_ == "email":
            found.add((type_, mailbox_of(value)))
        elif type_ == "phone":
            found.add((type_, value))
    return found


def mailbox_of(email: str) -> str:
    """Give the mailbox that an address leads to: without +tag, and at Gmail without dots."""
    name, _, domain = email.lower().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in ("gmail.com", "googlemail.com"):
        name, domain = name.replace(".", ""), "gmail.com"
    return f"{name}@{domain}"
