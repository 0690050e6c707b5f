"""What members took: redemptions, and the claims that keep their numbers unique."""

from django.db import models


class Redemption(models.Model):
    """One member's use of points. Its key in the database is (member_id, number).

    A redemption that is not captured yet has a `Hold` with the same number in the ledger.
    """

    class State(models.TextChoices):
        """`lapsed` is a hold that nobody captured in time."""

        HELD = "held"
        CAPTURED = "captured"
        VOIDED = "voided"
        LAPSED = "lapsed"
        REVERSED = "reversed"

    class Fulfilment(models.TextChoices):
        """What others have done of it; empty where nobody has anything to do."""

        ORDERED = "ordered"
        SHIPPED = "shipped"
        DELIVERED = "delivered"
        CANCELLED = "cancelled"

    class GivenFor(models.TextChoices):
        """Why a reward came without being asked for, or for nothing; empty for all others."""

        TIER_ENTRY = "tier_entry"
        FREE_REDEMPTION = "free_redemption"
        AUTO_REDEEM = "auto_redeem"

    id = models.BigAutoField(primary_key=True)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    reward = models.CharField(max_length=50, blank=True, help_text="Empty: paid with points.")
    points = models.BigIntegerField()
    captured = models.BigIntegerField(default=0)
    reinstated = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices)
    fulfilment = models.CharField(max_length=10, choices=Fulfilment.choices, blank=True)
    fulfilment_note = models.CharField(
        max_length=500, blank=True, help_text="What was said last of the delivery, for colleagues."
    )
    given_for = models.CharField(max_length=20, choices=GivenFor.choices, blank=True)
    gives = models.JSONField()
    store = models.CharField(max_length=50, blank=True)
    order_ref = models.CharField(max_length=100, blank=True)
    ref = models.CharField(max_length=100, blank=True)
    held_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    counts = models.BooleanField(default=True, help_text="Counts towards the member's limit.")
    took_stock = models.BooleanField(
        default=False, help_text="Has one of the stock, which comes back with it."
    )

    class Meta:
        indexes = [
            models.Index(fields=["program_id", "created_at"], name="redemption_by_time"),
            models.Index(fields=["member_id", "reward"], name="redemption_by_reward"),
            models.Index(
                fields=["member_id", "order_ref"],
                name="redemption_by_order",
                condition=~models.Q(order_ref=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reward or 'points'} {self.state}"


class RedemptionClaim(models.Model):
    """Makes a till's own redemption number unique per program and store, for ever."""

    pk = models.CompositePrimaryKey("program_id", "store", "ref")
    program_id = models.IntegerField()
    store = models.CharField(max_length=50)
    ref = models.CharField(max_length=100)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    content_hash = models.CharField(max_length=64)


class CodePool(models.Model):
    """Single-use codes under one name; rewards name it, uploads fill it."""

    program_id = models.IntegerField()
    code = models.CharField(max_length=50)
    loaded_at = models.DateTimeField(help_text="When codes last came in.")

    class Meta:
        ordering = ["program_id", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program_id", "code"], name="pool_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.code


class PoolCode(models.Model):
    """One code of a pool: sealed at rest, found again by its keyed hash."""

    class State(models.TextChoices):
        """`burnt` was given once and came back, and nobody gets it again."""

        FREE = "free"
        HELD = "held"
        GIVEN = "given"
        BURNT = "burnt"

    program_id = models.IntegerField()
    pool = models.CharField(max_length=50)
    sealed = models.TextField(help_text="Empty once a code is gone that is shown only once.")
    code_hash = models.BinaryField()
    valid_until = models.DateField(null=True)
    state = models.CharField(max_length=5, choices=State.choices, default=State.FREE)
    member_id = models.UUIDField(null=True)
    number = models.BigIntegerField(null=True, help_text="Of the redemption that has it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program_id", "pool", "code_hash"], name="code_unique_in_pool"
            )
        ]
        indexes = [
            models.Index(
                fields=["program_id", "pool", "id"],
                name="code_to_give",
                condition=models.Q(state="free"),
            ),
            models.Index(
                fields=["member_id", "number"],
                name="code_of_redemption",
                condition=models.Q(member_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pool}: {self.state}"


class PoolNotice(models.Model):
    """Says that a low pool was told, so that of two tills at once only one tells it."""

    pk = models.CompositePrimaryKey("program_id", "pool", "threshold")
    program_id = models.IntegerField()
    pool = models.CharField(max_length=50)
    threshold = models.IntegerField()
