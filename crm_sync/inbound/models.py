"""Where things come in, and the inbox: what was acknowledged is here until it is settled.

PostgreSQL is the guarantee, as for what goes out: Celery is only told to look
(docs/decisions/0011).
"""

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Source(models.Model):
    """One sender at one address of ours.

    Attributes:
        connection: The same vendor's account as a destination, if there is one: people who are
            known there are known here, and its mapping says which fields the vendor owns.
        secrets: Sealed: the current secret and the one before.
        rotated_at: Since when the one before is on its way out.
    """

    program = models.ForeignKey("loyalty.Program", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20)
    config = models.JSONField(default=dict, blank=True)
    connection = models.ForeignKey(
        "crm_sync.Connection",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="sources",
        help_text="The connection to the same account, if there is one: its mapping says which "
        "fields the vendor owns.",
    )
    key_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    secrets = models.TextField(editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    matches_unverified = models.BooleanField(
        "matches by unverified addresses",
        default=False,
        help_text="Members are found by emails and phone numbers, too, that nobody has verified "
        "here. Otherwise a person has to say whether it is them.",
    )
    is_enabled = models.BooleanField(
        "worked on",
        default=True,
        help_text="Off: what comes in is acknowledged and kept, and waits.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        app_label = "crm_sync"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["program", "name"],
                name="source_name",
                condition=models.Q(removed_at__isnull=True),
                violation_error_message="Another source of this program has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InboxMessage(models.Model):
    """One message of a source, once, whatever it is sent again.

    Attributes:
        message_id: The vendor's.
        content: Sealed, since it names people; emptied when the message is settled for good.
        attempts: How often work was begun. Whoever settles it has the number that is here.
        next_at: When it is due; moved ahead while somebody works on it.
        person: The vendor's id of whom it speaks.
        note: What came of it, in a sentence without personal data.
        candidates: Our ids of all who may be meant, where it waits for a person; also while it is
            worked on again because something has become known of one of them.
        said_hash: Of what it says, where its sender has not named it.
    """

    class State(models.TextChoices):
        """Kept: of a topic that nobody here reads. Dead and parked ones wait for a person."""

        PENDING = "pending"
        DONE = "done"
        IGNORED = "ignored"
        KEPT = "kept"
        DEAD = "dead"
        PARKED = "parked"

    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    message_id = models.CharField(max_length=200)
    topic = models.CharField(max_length=100, blank=True)
    content = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField()
    member_id = models.UUIDField(null=True)
    person = models.CharField(max_length=200, blank=True)
    candidates = models.JSONField(default=list)
    note = models.CharField(max_length=500, blank=True)
    said_hash = models.CharField(max_length=80, blank=True)
    received_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "crm_sync"
        verbose_name_plural = "inbox"
        constraints = [
            models.UniqueConstraint(fields=["source", "message_id"], name="inbox_message_once"),
            models.CheckConstraint(
                condition=models.Q(state="pending", settled_at__isnull=True)
                | models.Q(~models.Q(state="pending"), settled_at__isnull=False),
                name="inbox_settled_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="inbox_due", condition=models.Q(state="pending")),
            models.Index(
                fields=["source", "state"],
                name="inbox_open",
                condition=models.Q(state__in=["pending", "dead", "parked"]),
            ),
            models.Index(
                fields=["member_id"],
                name="inbox_of_member",
                condition=models.Q(member_id__isnull=False),
            ),
            models.Index(fields=["settled_at"], name="inbox_settled"),
            models.Index(
                fields=["source", "said_hash", "received_at"],
                name="inbox_unnamed",
                condition=~models.Q(said_hash=""),
            ),
            GinIndex(  # seldom written, so it is kept in order at once
                fields=["candidates"],
                name="inbox_in_doubt",
                condition=~models.Q(candidates=[]),
                fastupdate=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic or 'message'} {self.message_id}"


class SourcePerson(models.Model):
    """Who a source's person is among our members: found once, or said by a person, and kept.

    Attributes:
        matched_by: member_id, external_id, email, phone, or a person; where the connection knew
            them, as it says (Contact).
    """

    pk = models.CompositePrimaryKey("source_id", "vendor_id")
    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="people", db_index=False
    )
    vendor_id = models.CharField(max_length=200)
    member_id = models.UUIDField()
    matched_by = models.CharField(max_length=20)

    class Meta:
        app_label = "crm_sync"
        indexes = [models.Index(fields=["member_id"], name="source_person_of_member")]

    def __str__(self) -> str:
        return f"{self.vendor_id} is {self.member_id}"


class KnownOrder(models.Model):
    """What a source has said of an order so far, in whatever order it came. Names nobody.

    Attributes:
        changed_at: Of the newest state of it, in milliseconds.
        order: That state; None while only refunds are known.
        refunds: By their ids, how many of which line came back.
        revision: Grows whenever any of this changes.
        member_id: Whose it turned out to be.
    """

    pk = models.CompositePrimaryKey("source_id", "ref")
    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="orders", db_index=False
    )
    ref = models.CharField(max_length=100)
    changed_at = models.BigIntegerField(default=0)
    order = models.JSONField(null=True)
    refunds = models.JSONField(default=dict)
    removed = models.JSONField(default=dict)
    revision = models.BigIntegerField(default=0)
    member_id = models.UUIDField(null=True)
    heard_at = models.DateTimeField()

    class Meta:
        app_label = "crm_sync"
        indexes = [
            models.Index(fields=["member_id"], name="known_order_of_member"),
            models.Index(
                fields=["heard_at"],
                name="known_order_of_nobody",
                condition=models.Q(member_id__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.ref


class PollCursor(models.Model):
    """Up to where a connection's changes were read.

    Attributes:
        cursor: The adapter's own; empty: nothing was read yet.
        begun: Where the reading that is under way began: it begins there anew if it is lost.
        pages, mark: By which a vendor that leads in a circle is noticed.
        next_at: When it is asked again; moved ahead while somebody asks.
    """

    connection = models.OneToOneField(
        "crm_sync.Connection", primary_key=True, on_delete=models.CASCADE, related_name="polled"
    )
    cursor = models.TextField(blank=True)
    begun = models.TextField(blank=True)
    pages = models.IntegerField(default=0)
    mark = models.TextField(blank=True)
    next_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        app_label = "crm_sync"

    def __str__(self) -> str:
        return f"{self.connection_id} at {self.asked_at}"


class LeftOutPerson(models.Model):
    """Somebody of whom a poll told, and who could not be taken in.

    Attributes:
        content: What was said, sealed, since it names people.
        members: Our ids of all who may be meant.
        note: Why, in our words.
        at: When it was said last.
        next_at: When it is tried again by itself, since something has become known of one of them;
            moved ahead while somebody tries. None: when a person does, or more is said.
    """

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="left_out", db_index=False
    )
    vendor_id = models.CharField("at the vendor", max_length=200)
    content = models.TextField()
    members = models.JSONField(default=list)
    note = models.CharField("why", max_length=500)
    at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        app_label = "crm_sync"
        verbose_name = "person left out"
        verbose_name_plural = "people left out"
        constraints = [
            models.UniqueConstraint(fields=["connection", "vendor_id"], name="left_out_once")
        ]
        indexes = [
            GinIndex(fields=["members"], name="left_out_may_be", fastupdate=False),
            models.Index(
                fields=["next_at"],
                name="left_out_due",
                condition=models.Q(next_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.vendor_id


class OrderCursor(models.Model):
    """Up to when a shop's orders were read, for those that its webhooks did not tell.

    Attributes:
        since: All that changed until then was read.
        until: End of the walk that is under way; None between walks.
        page: The adapter's own, of that walk.
        pages, mark: By which a shop that leads in a circle is noticed.
        next_at: When it is asked again; moved ahead while somebody asks.
    """

    source = models.OneToOneField(
        Source, primary_key=True, on_delete=models.CASCADE, related_name="reconciled"
    )
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    page = models.TextField(blank=True)
    pages = models.IntegerField(default=0)
    mark = models.TextField(blank=True)
    next_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        app_label = "crm_sync"

    def __str__(self) -> str:
        return f"{self.source_id} until {self.since}"


class FeedCursor(models.Model):
    """Up to which event of the feed it was read what happened to members. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)

    class Meta:
        app_label = "crm_sync"

    def __str__(self) -> str:
        return str(self.position)
