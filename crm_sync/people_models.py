"""What a connection knows of people: who they are there, what they were told, and what is mapped.

Deliveries and lanes are in crm_sync/models.py, which these belong to.
"""

from django.db import models
from django.utils import timezone

from crm_sync.adapters.fields import Field


class FieldMapping(models.Model):
    """One of our attributes in one of the vendor's fields, at one connection."""

    FORMS = [
        ("text", "text"),
        ("integer", "whole number"),
        ("decimal", "number"),
        ("boolean", "yes or no"),
        ("date", "date, as 2026-11-22"),
        ("datetime", "time, as 2026-11-22T19:06:53Z"),
        ("epoch_ms", "time, in milliseconds since 1970"),
    ]
    OWNERS = [
        ("loyalty", "loyalty: pushed, repaired"),
        ("vendor", "the vendor: only taken in"),
    ]

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="fields"
    )
    attribute = models.CharField(max_length=70, help_text="Ours.")
    name = models.CharField("vendor's field", max_length=200)
    form = models.CharField(max_length=10, choices=FORMS, default="text")
    owner = models.CharField(max_length=10, choices=OWNERS, default="loyalty")

    class Meta:
        app_label = "crm_sync"
        ordering = ["connection", "id"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "name"], name="field_mapped_once")
        ]

    def __str__(self) -> str:
        return f"{self.attribute} as {self.name}"

    def as_field(self) -> Field:
        """Give it as adapters know it."""
        return Field(self.attribute, self.name, self.form, self.owner)  # type: ignore[arg-type]


class Contact(models.Model):
    """What one member is at one connection that keeps profiles.

    The profile is wanted anew as often as something happens to the member, and sent once, with
    the newest state: `done` follows `wanted`.

    Attributes:
        vendor_id: What the vendor calls them, once we know.
        matched_by: How we know: member_id, external_id, email, phone, a person; `new` where the
            vendor knew nobody, `no_email` where there was no email to tell it either, `nobody`
            where a person has said that none of those who were found is meant. Empty: nobody has
            asked yet.
        matched_on: Hash of what the vendor was asked by; where that changes, who was not found is
            looked for again.
        addresses: Hashes of the email and phone number that the vendor was told of whom we made
            there, or by which they were found: whoever has one is, to the vendor, them. Empty where
            something else led to them, or a person has said so.
        fingerprint: Hash of what was sent last; the same again is not sent. Empty where nobody
            knows what the vendor has: nothing was sent, what was sent last failed, or its worker
            died.
        version: Sequence of the newest event that it reflected.
        stuck: Given up until the next event, or parked until a person has chosen.
        candidates: The vendor's ids of all who fit.
        is_backfill: The present wish comes from a backfill only.
    """

    class Stuck(models.TextChoices):
        """Dead: the vendor will not have it. Parked: nobody but a person can tell who is meant."""

        DEAD = "dead"
        PARKED = "parked"

    pk = models.CompositePrimaryKey("connection_id", "member_id")
    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="contacts", db_index=False
    )
    member_id = models.UUIDField()
    vendor_id = models.CharField(max_length=200, blank=True)
    matched_by = models.CharField(max_length=20, blank=True)
    matched_on = models.CharField(max_length=64, blank=True)
    addresses = models.JSONField(default=dict)
    wanted = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    fingerprint = models.CharField(max_length=64, blank=True)
    version = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    stuck = models.CharField(max_length=10, choices=Stuck.choices, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    candidates = models.JSONField(default=list)
    is_backfill = models.BooleanField(default=False)

    class Meta:
        app_label = "crm_sync"
        indexes = [
            models.Index(
                fields=["connection", "member_id"],
                name="contact_waiting",
                condition=models.Q(wanted__gt=models.F("done")),
            ),
            models.Index(
                fields=["connection", "stuck"],
                name="contact_stuck",
                condition=~models.Q(stuck=""),
            ),
            # Who a vendor speaks of, in each message and on each page of what changed there.
            models.Index(fields=["connection", "vendor_id"], name="contact_at_vendor"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} at {self.connection_id}"


class Backfill(models.Model):
    """One walk through all members of a connection's program, so that the vendor knows everybody.

    Attributes:
        after: The last member whose profile was asked for.
        walked: How many there were until now.
    """

    class State(models.TextChoices):
        """A paused one goes on where it stopped."""

        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="backfills"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    total = models.IntegerField()
    walked = models.IntegerField(default=0)
    after = models.UUIDField(null=True)
    started_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "crm_sync"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"],
                name="backfill_one_at_a_time",
                condition=models.Q(state__in=["running", "paused"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.walked} of {self.total} at {self.connection}"


class BulkJob(models.Model):
    """Profiles that a vendor took as one job, and what we have to ask it for.

    Attributes:
        job_id: The vendor's; empty where the call that makes the job failed, and is made again.
        items: For each profile, in their order: member, what was `wanted`, fingerprint, version.
    """

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="bulk_jobs"
    )
    job_id = models.CharField(max_length=200)
    items = models.JSONField()
    submitted_at = models.DateTimeField(default=timezone.now)
    ask_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    failed = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        app_label = "crm_sync"
        indexes = [
            models.Index(
                fields=["ask_at"], name="bulk_job_open", condition=models.Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{len(self.items)} profiles at {self.connection}"
