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
    gives = models.JSONField()
    store = models.CharField(max_length=50, blank=True)
    order_ref = models.CharField(max_length=100, blank=True)
    ref = models.CharField(max_length=100, blank=True)
    held_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    counts = models.BooleanField(
        default=True, help_text="Counts towards the member's limit and the stock."
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
