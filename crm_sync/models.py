"""Where events go, how far they got, and what happened on the way.

A connection is written by people, its relay row by the machinery, so that an admin's save cannot
overwrite a cursor. A lane is one member at one connection: the unit of order.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from crm_sync.drift_models import Comparison as Comparison
from crm_sync.drift_models import Drift as Drift
from crm_sync.inbound.models import FeedCursor as FeedCursor
from crm_sync.inbound.models import InboxMessage as InboxMessage
from crm_sync.inbound.models import KnownOrder as KnownOrder
from crm_sync.inbound.models import LeftOutPerson as LeftOutPerson
from crm_sync.inbound.models import OrderCursor as OrderCursor
from crm_sync.inbound.models import PollCursor as PollCursor
from crm_sync.inbound.models import Source as Source
from crm_sync.inbound.models import SourcePerson as SourcePerson
from crm_sync.people_models import Backfill as Backfill
from crm_sync.people_models import BulkJob as BulkJob
from crm_sync.people_models import Contact as Contact
from crm_sync.people_models import FieldMapping as FieldMapping
from crm_sync.segment_models import PolledSegment as PolledSegment
from crm_sync.segment_models import SegmentSighting as SegmentSighting

EVENT_TYPE = RegexValidator(
    r"^[a-z_]+\.([a-z_]+|\*)\Z",
    "Write event types like points.earned, or points.* for all of them.",
)


class Connection(models.Model):
    """One destination of a program's events.

    Signing secrets are not stored: they are derived from the installation's SECRET_KEY, `key_id`
    and `secret_generation` (crm_sync/signing.py, docs/decisions/0004).
    """

    program = models.ForeignKey("loyalty.Program", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    adapter = models.CharField(max_length=20)
    config = models.JSONField(default=dict, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=40, validators=[EVENT_TYPE]),
        default=list,
        blank=True,
        help_text="Such as points.earned or points.*; empty means all of them.",
    )
    shares_email = models.BooleanField(
        default=True, help_text="Members are found at the vendor by email, and sent with it."
    )
    shares_phone = models.BooleanField(
        default=False, help_text="The same by phone; numbers change hands more often."
    )
    matches_unverified = models.BooleanField(
        "matches by unverified addresses",
        default=False,
        help_text="People are found by emails and phone numbers, too, that nobody has verified. "
        "Otherwise a person has to say whether it is them.",
    )
    repairs_drift = models.BooleanField(
        "repairs differences",
        default=True,
        help_text="What loyalty owns and the vendor has otherwise is sent again each night, unless "
        "more than a tenth of all members differ.",
    )
    calls_at_once = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="Members served at the same moment. Empty: as many as this installation allows.",
    )
    is_enabled = models.BooleanField(default=True, editable=False)
    disabled_reason = models.CharField(max_length=500, blank=True, editable=False)
    key_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    secret_generation = models.PositiveIntegerField(default=1, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["program", "name"],
                name="connection_name",
                condition=models.Q(removed_at__isnull=True),
                violation_error_message="Another connection of this program has this name.",
            ),
            models.CheckConstraint(
                condition=models.Q(calls_at_once__isnull=True) | models.Q(calls_at_once__gte=1),
                name="connection_calls_at_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Vault(models.Model):
    """The secrets that others gave us for a connection, encrypted, in one row and one value.

    One value, so that a renewed access token and the refresh token that came with it are stored
    together or not at all.

    Attributes:
        content: What crm_sync/vault.py encrypts; nothing else reads or writes it.
        renewal: Who is renewing the access token; others wait, until `renewing_until`.
    """

    connection = models.OneToOneField(
        Connection, primary_key=True, on_delete=models.CASCADE, related_name="vault"
    )
    content = models.TextField()
    renewal = models.UUIDField(null=True)
    renewing_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Secrets of {self.connection}"


class Allowance(models.Model):
    """How far a connection has used up one of its vendor's limits, for all workers together.

    Attributes:
        free_at: When the calls that were made so far would be spread out evenly; the next one may
            come as long before as a burst allows.
    """

    pk = models.CompositePrimaryKey("connection_id", "name")
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="allowances", db_index=False
    )
    name = models.CharField(max_length=40)
    free_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} of {self.connection_id}"


class Relay(models.Model):
    """How far a connection's events were handed to its lanes, and how its destination is doing.

    Locked before any lane by whoever needs both; see docs/decisions/0004 for the order of locks.

    Attributes:
        position: Every event up to here has its delivery, or was not wanted.
        failures: Attempts that failed in a row, whatever the member; 0 after a success.
        failing_since: When the first of them failed.
        last_error: Why the newest of them failed.
        resume_at: Nothing is sent before: the destination asked for it, or does not answer.
        live_from: Events up to this position were there before the connection: nobody is to be
            messaged because of them.
        notice: What the connection cannot do as it is set up at the vendor, in our words: they
            name nobody.
    """

    connection = models.OneToOneField(
        Connection, primary_key=True, on_delete=models.CASCADE, related_name="relay"
    )
    position = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    resume_at = models.DateTimeField(null=True)
    live_from = models.BigIntegerField(default=0)
    notice = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.connection} at {self.position}"


class Lane(models.Model):
    """One member at one connection, while there may be something to send.

    Whoever holds the lease may send; a new lease has a new token, and nothing is completed under
    an old one.

    Attributes:
        additions: How often deliveries were added. A worker closes the lane only if nobody added
            any since it looked.
    """

    pk = models.CompositePrimaryKey("connection_id", "member_id")
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="lanes", db_index=False
    )
    member_id = models.UUIDField()
    next_at = models.DateTimeField()
    additions = models.IntegerField(default=1)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(lease_until__isnull=True, lease_token__isnull=True)
                | models.Q(lease_until__isnull=False, lease_token__isnull=False),
                name="lane_lease_has_token",
            ),
        ]
        indexes = [
            models.Index(fields=["connection", "next_at"], name="lane_due"),
            models.Index(
                fields=["connection", "lease_until"],
                name="lane_leased",
                condition=models.Q(lease_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} at {self.connection_id}"


class Delivery(models.Model):
    """One event for one connection. What is sent is read from the outbox when it is sent."""

    class State(models.TextChoices):
        """Dead and parked ones wait for a person; the lane goes on without them.

        Parked: nobody but a person can tell whether it arrived, or whom it is about. Skipped: the
        destination has nobody to whom it could belong.
        """

        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"
        PARKED = "parked"
        SKIPPED = "skipped"

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    position = models.BigIntegerField()
    member_id = models.UUIDField()
    sequence = models.BigIntegerField()
    type = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    is_backfill = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "member_id", "sequence"], name="delivery_once"
            ),
            models.CheckConstraint(
                condition=models.Q(state="pending", settled_at__isnull=True)
                | models.Q(~models.Q(state="pending"), settled_at__isnull=False),
                name="delivery_settled_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["connection", "member_id", "sequence"],
                name="delivery_in_lane",
                condition=models.Q(state="pending"),
            ),
            models.Index(
                fields=["connection", "position"],
                name="delivery_waiting",
                condition=models.Q(state="pending"),
            ),
            models.Index(
                fields=["connection", "position"],
                name="delivery_given_up",
                condition=models.Q(state__in=["dead", "parked"]),
            ),
            models.Index(fields=["settled_at"], name="delivery_settled"),
            models.Index(fields=["connection", "-position"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence} to {self.connection}"


class Attempt(models.Model):
    """One call of the destination, and what came of it.

    Of an event's delivery; or, with connection and member instead, of a member's profile.
    """

    class Outcome(models.TextChoices):
        """Fenced: somebody else had the lane meanwhile, so this attempt decided nothing."""

        DELIVERED = "delivered"
        RETRYABLE = "retryable"
        PERMANENT = "permanent"
        AMBIGUOUS = "ambiguous"
        CONFIGURATION = "configuration"
        SKIPPED = "skipped"
        FENCED = "fenced"

    delivery = models.ForeignKey(
        Delivery, null=True, on_delete=models.CASCADE, related_name="attempt_log"
    )
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    member_id = models.UUIDField(null=True)
    at = models.DateTimeField()
    duration_ms = models.IntegerField()
    status_code = models.SmallIntegerField(null=True)
    outcome = models.CharField(max_length=15, choices=Outcome.choices)
    correlation_id = models.UUIDField()
    answer = models.TextField(blank=True, help_text="The first 2,048 characters.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    delivery__isnull=False, connection__isnull=True, member_id__isnull=True
                )
                | models.Q(
                    delivery__isnull=True, connection__isnull=False, member_id__isnull=False
                ),
                name="attempt_of_a_delivery_or_a_profile",
            ),
        ]
        indexes = [
            models.Index(fields=["at"], name="attempt_by_time"),
            models.Index(
                fields=["connection", "member_id", "at"],
                name="attempt_of_profile",
                condition=models.Q(delivery__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.at:%Y-%m-%d %H:%M:%S}"
