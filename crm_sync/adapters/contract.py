"""What an adapter promises: what we tell a destination goes in, one outcome for each comes out.

An adapter is one kind of destination. It sees no database and no Django, never sleeps, and never
raises for what a destination does; it says what it means (crm_sync/adapters/outcomes.py). When,
how often and in which order is not its business. What it can do beyond events it shows by having
the methods: `PushesProfiles`, `PushesInBulk`, `RunsJobs`, `Matches`, `ReadsBack`,
`Polls`, `ListsOrders`, `ListsSegments`, `MixesMembers`, `LeavesOutOldEvents` (docs/decisions/0005).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import UUID, uuid5

from crm_sync.adapters.access import Target
from crm_sync.adapters.fields import Field, FieldLimits, Form
from crm_sync.adapters.outcomes import Outcome

_EVENTS = UUID("5f0f1c1e-6d0b-4c63-9f8e-5a3d8c1f7b21")


class ConfigRefused(ValueError):
    """A connection cannot be set up like this; the message says why, to the person who tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What adapters know of the installation.

    Attributes:
        home: Folder below which the console adapter may write a file.
        allow_private_addresses: Development only: http and addresses inside the network.
        connect_seconds: Longest wait for a connection.
        total_seconds: Hard limit for one call, from resolving the name to the last byte.
    """

    home: Path
    allow_private_addresses: bool = False
    connect_seconds: float = 5.0
    total_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that a person fills in to set up a connection.

    Attributes:
        default: What is taken where nothing is filled in, as API versions are.
        is_secret: Encrypted at rest, and never shown again.
        pattern: What the whole value must match; the default shows what that looks like.
        choices: What there is to choose from; empty where it is to be written.
    """

    name: str
    label: str
    help: str = ""
    default: str = ""
    is_required: bool = False
    is_secret: bool = False
    pattern: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who something is about, by what a vendor may know them.

    Attributes:
        vendor_id: What the vendor calls them, where we have learned it; goes before all others.
        external_ids: The member's ids in other systems, such as a shop's customer number.
        unproven: `email` and `phone`, where nobody has verified that it is theirs, and the
            connection matches by none such: they are told of whom we make, and lead to nobody.
        lacks_email: We made them at the vendor before an email was known: one that is known by
            now is told, to them alone. Whoever has one there keeps it.
        first_name: As last_name only for a vendor that takes nobody without a name: for a new
            profile, never for one that is there. What is to be kept up to date is mapped.
    """

    member_id: str
    vendor_id: str = ""
    email: str = ""
    phone: str = ""
    external_ids: tuple[str, ...] = ()
    first_name: str = ""
    last_name: str = ""
    lacks_email: bool = False
    unproven: frozenset[str] = frozenset()

    @property
    def proven_email(self) -> str:
        """Give the email if they may be found by it."""
        return "" if "email" in self.unproven else self.email

    @property
    def proven_phone(self) -> str:
        """Give the phone number if they may be found by it."""
        return "" if "phone" in self.unproven else self.phone

    @property
    def late_identity(self) -> Mapping[str, str]:
        """Give `email` and `phone` where a profile that is there is to be given them."""
        if not (self.lacks_email and self.email):
            return {}
        return {"email": self.email, **({"phone": self.phone} if self.phone else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One event on its way: `event_id` is the same at every attempt, `correlation_id` is not.

    Attributes:
        is_backfill: It was there before the connection, or was replayed: nobody is to be messaged
            because of it. What a batch did is not, unless that holds of it too: tills send in
            batches what they did just now, and its `cause.bulk` says that it was one of many.
    """

    event_id: str
    body: Mapping[str, Any]
    correlation_id: UUID
    person: Person | None = None
    is_backfill: bool = False

    @property
    def event_uuid(self) -> UUID:
        """Give the event's id for vendors that de-duplicate by UUIDs: the same at every attempt."""
        return uuid5(_EVENTS, self.event_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a vendor is to know of a member now.

    Attributes:
        fields: By the vendor's names, in the forms that the mapping asks for; None clears one.
        forms: The form of each field, for vendors that must be told what a text is.
        version: Sequence of the member's newest event that it reflects.
        is_backfill: Nothing happened: a backfill or a repair tells it. What may be done to keep
            people from being messaged is done, but it is told all the same.
    """

    person: Person
    fields: Mapping[str, Any]
    version: int
    correlation_id: UUID
    is_backfill: bool = False
    forms: Mapping[str, Form] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A vendor took many profiles, and will say later what became of them.

    Attributes:
        settled: What became at once of some, by their places; they are no part of the job.
        made: What the vendor calls those whom it has just made, by their places.
    """

    job_id: str
    answer: str = ""
    settled: Mapping[int, Outcome] = field(default_factory=dict)
    made: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """How far a vendor's job is.

    Attributes:
        outcomes: One for each profile, in the order in which they were submitted; empty while the
            job is under way.
        outcome: What came of asking, where there was no answer to it.
    """

    is_done: bool
    outcomes: Sequence[Outcome] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whom a vendor knows by what we know.

    Attributes:
        vendor_id: Empty if nobody fits, or if it cannot be told who.
        matched_by: vendor_id, member_id, external_id, email or phone.
        candidates: The vendor's ids of all who fit, where it cannot be told who is meant.
        outcome: Why there is no answer, where there is none.
    """

    vendor_id: str = ""
    matched_by: str = ""
    candidates: tuple[str, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Whether a person may be written to on a channel, as the vendor has it.

    Attributes:
        changed_at: When the consent itself was given or withdrawn; empty where the vendor does not
            say. Never when the person's record changed: our own push changes that, and would make
            an old word the newest.
        is_act: The vendor tells that the person has given or withdrawn it, and not of a state,
            which may be that nobody has asked them.
    """

    channel: str
    is_given: bool
    changed_at: str = ""
    is_act: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a vendor says about a person: only what the vendor owns.

    Attributes:
        member_id: Ours, if the vendor keeps it; else they are found by `vendor_id` or `email`.
        segments: All segments that they are in; None if the vendor did not say.
        fields: By the vendor's names: those that the mapping takes in.
    """

    vendor_id: str
    member_id: str = ""
    email: str = ""
    consents: tuple[Consent, ...] = ()
    segments: tuple[str, ...] | None = None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Some changes, and from where to read on.

    Attributes:
        cursor: To be given back at the next call; the same one again where nothing was read.
    """

    changes: Sequence[Change]
    cursor: str
    has_more: bool = False
    outcome: Outcome | None = None


class Adapter(Protocol):
    """One kind of destination.

    Attributes:
        title: What it is, for the person who chooses one.
        settings: What a person fills in.
        batch_size: How many deliveries of one lane it wants in one call.
        is_signed: Whether it uses the connection's signing secrets.
    """

    title: str
    batch_size: int
    is_signed: bool

    @property
    def settings(self) -> Sequence[Setting]: ...

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration as it is to be stored; secrets are not in it.

        Raises:
            ConfigRefused: If a connection cannot be set up like this.
        """
        ...

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send in order and return one outcome for each, or stop after the first that failed."""
        ...

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Find out whether the connection works, without a trace where the vendor can do that.

        Args:
            event: Of the type connection.test, for destinations that can only be sent something.
        """
        ...


@runtime_checkable
class MixesMembers(Protocol):
    """A destination that takes events, and profiles, of many members in one call.

    Only one that knows an event again by its id: what follows the first that failed in a call is
    sent again without a word of this call anywhere.

    Attributes:
        mixed_size: How many events it takes in one call, whoever they are of.
    """

    mixed_size: int


@runtime_checkable
class LeavesOutOldEvents(Protocol):
    """A destination that nothing tells that an event is old: those of a backfill are skipped.

    Attributes:
        old_events: Why, in a sentence for the person who would send them.
    """

    old_events: str


@runtime_checkable
class PushesProfiles(Protocol):
    """A destination that keeps a profile of each member.

    Attributes:
        default_fields: The mapping that a new connection begins with.
        field_limits: What the vendor's fields may be; checked before anything is sent.
    """

    field_limits: FieldLimits

    @property
    def default_fields(self) -> Sequence[Field]: ...

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update; one outcome for each, Delivered with the vendor's id.

        Pushing a profile twice is the same as once. Consent is never among what is sent.
        """
        ...


@runtime_checkable
class PushesInBulk(Protocol):
    """A destination with a cheaper way for many profiles.

    Attributes:
        bulk_size: How many profiles it takes in one call.
    """

    bulk_size: int

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Push many at once; one outcome for each, or the job that will tell."""
        ...


@runtime_checkable
class RunsJobs(Protocol):
    """A destination whose bulk form is a job that has to be asked for."""

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a job is.

        Args:
            member_ids: Whose profiles were submitted, in their order.
        """
        ...


@runtime_checkable
class Matches(Protocol):
    """A destination that can be asked whom it knows before something is written there."""

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Say of each whom the vendor knows: by our id, external ids, email, phone, in this order.

        Several who fit by the same, or one who carries another member's id, are candidates for a
        person to choose from, never guessed. Of one whose `vendor_id` is given, it says who else
        fits.
        """
        ...


@runtime_checkable
class ReadsBack(Protocol):
    """A destination that shows what it has, to be compared with what it should have."""

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Give the fields of each as the vendor has them, None for whom it does not know."""
        ...


@runtime_checkable
class Polls(Protocol):
    """A destination that can be asked what has changed there."""

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List what changed since a cursor; an empty one begins with all that there is.

        Args:
            fields: Those that the mapping gives the vendor, for vendors that must be asked by name.
        """
        ...
