"""People in a program, and the identifiers by which tills know them."""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Now, Upper


class Member(models.Model):
    """A person enrolled in a program: personal data only.

    Status, lock and counters are in `MemberState`, so that an edit of a name never waits for
    a till, and the ledger holds nothing personal.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    program = models.ForeignKey("loyalty.Program", on_delete=models.PROTECT, related_name="members")
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    language = models.CharField(max_length=10, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    enrolled_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["program", "enrolled_at"], name="member_by_enrolment"),
            # For the beginning of a name, in any case.
            models.Index(
                OpClass(Upper("first_name"), name="text_pattern_ops"), name="member_by_first_name"
            ),
            models.Index(
                OpClass(Upper("last_name"), name="text_pattern_ops"), name="member_by_last_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or str(self.id)


class Identifier(models.Model):
    """A card, an email, a phone or another system's id that names one member of a program.

    Attributes:
        verified_by: Who has said that it is proven to be the member's; empty: nobody has.
    """

    class Type(models.TextChoices):
        """Cards and external ids may stand in a path; email and phone never do."""

        CARD = "card"
        EXTERNAL = "external"
        EMAIL = "email"
        PHONE = "phone"

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="identifiers")
    number = models.BigIntegerField(help_text="Names it among the member's rows.")
    program_id = models.IntegerField()
    type = models.CharField(max_length=10, choices=Type.choices)
    value = models.CharField(max_length=254, help_text="Normalised.")
    verified_by = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program_id", "type", "value"], name="identifier_unique_in_program"
            )
        ]
        indexes = [
            models.Index(
                fields=["program_id", "value"],
                opclasses=["int4_ops", "varchar_pattern_ops"],
                name="identifier_by_beginning",
            )
        ]

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


class MemberMerge(models.Model):
    """One member was merged into another: what it takes to undo it.

    What moved from the merged member (lots, orders, identifiers) kept its number plus `base`
    among the survivor's rows, so the numbers from `base` to `base + size` are theirs.

    Attributes:
        number: The merged member's ledger transaction of the merge; `survivor_number` the other's.
        level_before, level_after: The survivor's tier.
        terms_before: Of that before: [valid_until, earned_level, earned_until].
        counted: By day, what the orders that moved counted for then: [day, spend, points, orders].
        taken: What they took of limits then: rule, per, starts_on, times, points.
    """

    pk = models.CompositePrimaryKey("member_id", "number")
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    survivor_id = models.UUIDField()
    survivor_number = models.BigIntegerField()
    base = models.BigIntegerField()
    size = models.BigIntegerField()
    status_before = models.CharField(max_length=10)
    level_before = models.CharField(max_length=50, blank=True)
    terms_before = models.JSONField()
    level_after = models.CharField(max_length=50, blank=True)
    debt = models.BigIntegerField()
    counted = models.JSONField()
    taken = models.JSONField()
    merged_at = models.DateTimeField()
    reversible_until = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.member_id} into {self.survivor_id}"


class Erasure(models.Model):
    """Somebody was erased. Kept, so that a restored backup can be brought to forget them again.

    Attributes:
        digest: The keyed hash of the member's id, for the list that is kept outside.
    """

    member_id = models.UUIDField(primary_key=True)
    program_id = models.IntegerField()
    digest = models.CharField(max_length=64)
    actor = models.CharField(max_length=100)
    erased_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["erased_at"], name="erasure_by_time")]

    def __str__(self) -> str:
        return f"{self.member_id} at {self.erased_at:%Y-%m-%d}"


class AdjustmentRequest(models.Model):
    """An adjustment that waits for a second person. Its key in the database is (member_id, number).

    Attributes:
        transaction_number: The ledger transaction that came of it, when it was approved.
    """

    class State(models.TextChoices):
        """Decided once."""

        OPEN = "open"
        APPROVED = "approved"
        DECLINED = "declined"

    id = models.BigAutoField(primary_key=True)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    points = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    expires_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    requested_by = models.CharField(max_length=100)
    requested_at = models.DateTimeField()
    decided_by = models.CharField(max_length=100, blank=True)
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.CharField(max_length=500, blank=True)
    transaction_number = models.BigIntegerField(null=True)

    class Meta:
        permissions = [("approve_adjustment", "Can approve adjustments of others")]
        indexes = [models.Index(fields=["state", "requested_at"], name="adjustment_by_state")]

    def __str__(self) -> str:
        return f"{self.points:+d} {self.state}"


class Segment(models.Model):
    """A named set of members: rules and rewards name it, uploads, the API and CRMs fill it."""

    program_id = models.IntegerField()
    code = models.CharField(max_length=50, help_text="As rules and rewards name it.")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(help_text="When members last came in or went out.")

    class Meta:
        ordering = ["program_id", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program_id", "code"], name="segment_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name


class SegmentMember(models.Model):
    """A member who is in a segment.

    Attributes:
        came_from: Who was merged into the member and brought it; null where it is their own.
    """

    pk = models.CompositePrimaryKey("member_id", "segment")
    member_id = models.UUIDField()
    segment = models.CharField(max_length=50)
    program_id = models.IntegerField()
    since = models.DateTimeField(db_default=Now())
    came_from = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["program_id", "segment", "member_id"], name="member_of_segment")
        ]

    def __str__(self) -> str:
        return f"{self.member_id} in {self.segment}"


class ConsentRecord(models.Model):
    """One word about whether a member may be written to. Rows are only added.

    Attributes:
        at: When it was given or withdrawn, as the source says; when it was heard, if it does not.
        counts_from: Before all that counts from later. Of an opt-out that is `at`; of consent
            whose time nobody says, what it must have come after.
        raw_id: The source's own id of the message that said so.
    """

    pk = models.CompositePrimaryKey("member_id", "channel", "source", "at", "is_given")
    member_id = models.UUIDField()
    program_id = models.IntegerField()
    channel = models.CharField(max_length=20)
    is_given = models.BooleanField()
    source = models.CharField(max_length=100)
    at = models.DateTimeField()
    counts_from = models.DateTimeField()
    raw_id = models.CharField(max_length=200, blank=True)
    recorded_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.channel}: {'given' if self.is_given else 'withdrawn'}"
