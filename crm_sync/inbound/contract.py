"""What a kind of source promises: a request goes in, what it says of people and orders comes out.

A kind sees no database and no Django. It verifies, takes a request apart into messages, each with
the vendor's id for it, and reads one message. What is done with that is not its business
(docs/decisions/0011).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from crm_sync.adapters.contract import Consent, Setting


class SignatureRefused(Exception):
    """The request was not sent by whoever has the secret, or not just now."""


class Unreadable(ValueError):
    """A message is not what its topic promises; the message says how, to a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request as it came in.

    Attributes:
        url: As the vendor called it, with scheme, host and query: some sign it.
        headers: By names in lower case.
        body: The bytes that were signed.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Give a header; empty if it is missing."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One message of a request.

    Attributes:
        message_id: The vendor's own, the same whenever it sends the message again.
        content: Its JSON.
        said_hash: Of what it says, where nobody has named it: by that a repeat may be known.
    """

    message_id: str
    topic: str
    content: str
    said_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whom a vendor speaks of.

    Attributes:
        vendor_id: What the vendor calls them.
        known_as: The same in the spellings that a connection to the vendor may have stored.
        member_id: Ours, where the vendor keeps it.
        email, phone: Only where the vendor has made sure that they are the person's own.
        proves_email: The source may say of a member's email that it is verified.
    """

    vendor_id: str = ""
    known_as: tuple[str, ...] = ()
    member_id: str = ""
    external_ids: tuple[str, ...] = ()
    email: str = ""
    phone: str = ""
    proves_email: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSaid:
    """What a vendor says of a person; only what it owns is taken in.

    Attributes:
        segments: All that they are in now; None if the vendor did not say.
        joined, left: Those that changed, where the vendor says no more.
        fields: By the vendor's names.
    """

    who: Who
    consents: tuple[Consent, ...] = ()
    segments: tuple[str, ...] | None = None
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSaid:
    """An order as it is now, in full.

    Attributes:
        order: As `PUT /v1/orders/{ref}` takes it.
        revision: Grows with every change.
    """

    who: Who
    ref: str
    revision: int
    order: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseSaid:
    """An order as it is now, by a vendor that tells of refunds separately as well.

    Attributes:
        changed_at: When it last changed, in milliseconds; an older one changes nothing.
        order: As `PUT /v1/orders/{ref}` takes it, without what came back.
        refunds: By the refund's id, how many of which line came back with it.
        removed: How many of a line are not wanted any more, for whatever reason.
    """

    who: Who
    ref: str
    changed_at: int
    order: Mapping[str, Any]
    refunds: Mapping[str, Mapping[str, int]]
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSaid:
    """One refund of an order, which may not be known yet."""

    ref: str
    refund_id: str
    returned: Mapping[str, int]
    who: Who = field(default_factory=Who)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsksPerson:
    """Something that only a person may decide, such as a request to erase."""

    who: Who
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotForUs:
    """Nothing is to be done, and a sentence says why."""

    reason: str


Said = PersonSaid | OrderSaid | PurchaseSaid | RefundSaid | AsksPerson | NotForUs


class Kind(Protocol):
    """One kind of source.

    Attributes:
        title: What it is, for the person who chooses one.
        settings: What a person fills in, besides the secret.
        makes_secret: We make the secret and show it once; else the vendor's is entered.
    """

    title: str
    makes_secret: bool

    @property
    def settings(self) -> Sequence[Setting]: ...

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration as it is to be stored.

        Raises:
            ConfigRefused: A source cannot be set up like this.
        """
        ...

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Make sure that the vendor sent exactly this, just now.

        Args:
            secrets: Those that are valid, the current one first.

        Raises:
            SignatureRefused: saying why.
        """
        ...

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the request apart.

        Raises:
            Unreadable: It is none of this vendor's.
        """
        ...

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Say what a message means; None where the topic is not known.

        Raises:
            Unreadable: It is not what its topic promises.
        """
        ...


@runtime_checkable
class NamesAccount(Protocol):
    """A kind whose settings name the vendor's account, as those of a connection to it do."""

    def check_account(self, config: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
        """Compare a source's settings with those of a connection to the same vendor.

        Raises:
            ConfigRefused: They are of different accounts.
        """
        ...
