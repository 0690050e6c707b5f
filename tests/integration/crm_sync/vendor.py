"""A vendor in memory that can do all that the contract knows, for tests of what is around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import (
    JobReport,
    Match,
    Outgoing,
    Person,
    Profile,
    Setting,
    Submitted,
)
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.outcomes import Delivered, Outcome

LIMITS = FieldLimits(text_characters=20)


@dataclass
class Vendor:
    """Keeps profiles by our member id; `outcomes` are given first, one a call."""

    title: str = "A vendor in memory"
    settings: Sequence[Setting] = ()
    batch_size: int = 1
    is_signed: bool = False
    default_fields: Sequence[Field] = (
        Field("tier", "loyalty_tier", "text"),
        Field("points_available", "loyalty_points", "integer"),
        Field("state_version", "loyalty_version", "integer"),
    )
    field_limits: FieldLimits = LIMITS
    profiles: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    backfilled: list[bool] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    matches: dict[str, Match] = field(default_factory=dict)
    asked: int = 0

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        return Delivered()

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        if self.outcomes:
            return [self.outcomes.pop(0)]
        self.log += [(d.person.member_id, d.body["type"]) for d in deliveries if d.person]
        return [Delivered() for _ in deliveries]

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        if self.outcomes:
            return [self.outcomes.pop(0)]
        for profile in profiles:
            self.keep(profile)
        people = [profile.person for profile in profiles]
        return [Delivered(vendor_id=one.vendor_id or f"v-{one.member_id}") for one in people]

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        self.asked += len(people)
        return [self._match(person) for person in people]

    def _match(self, person: Person) -> Match:
        addresses = (person.email, person.phone)
        return next((self.matches[one] for one in addresses if one in self.matches), Match())

    def keep(self, profile: Profile) -> None:
        self.log.append((profile.person.member_id, "profile"))
        self.profiles[profile.person.member_id] = profile.fields
        self.backfilled.append(profile.is_backfill)

    def of(self, member_id: str) -> list[str]:
        return [what for member, what in self.log if member == member_id]


@dataclass
class BulkVendor(Vendor):
    """The same, with a bulk form that works as a job."""

    bulk_size: int = 3
    jobs: dict[str, Sequence[Profile]] = field(default_factory=dict)
    refuses: dict[str, Outcome] = field(default_factory=dict)
    is_working: bool = False

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        if self.outcomes:
            return [self.outcomes.pop(0)]
        job_id = f"job-{len(self.jobs)}"
        self.jobs[job_id] = profiles
        return Submitted(job_id=job_id)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        if self.is_working:
            return JobReport(is_done=False)
        outcomes = []
        for profile in self.jobs[job_id]:
            refused = self.refuses.get(profile.person.member_id)
            if refused is None:
                self.keep(profile)
            outcomes.append(refused or Delivered())
        return JobReport(is_done=True, outcomes=outcomes)
