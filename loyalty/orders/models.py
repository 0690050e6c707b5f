"""Purchases as they are now, line by line, with what each line earned."""

from django.db import models

from loyalty.events.documents import DocumentField


class Order(models.Model):
    """An order in its present state. Its key in the database is (member_id, number).

    `lines` is a list of objects: line, quantity, amount (minor units), points (what the line
    earned); sku, category and brand where they were told; returned (in 1/10,000), returned_amount
    and clawed_back where something came back.
    """

    class State(models.TextChoices):
        """An open order is recorded and earns when it is paid."""

        OPEN = "open"
        PAID = "paid"
        CANCELLED = "cancelled"

    id = models.BigAutoField(primary_key=True)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    ref = models.CharField(max_length=100)
    store = models.CharField(max_length=50, blank=True)
    channel = models.CharField(max_length=20, blank=True)
    state = models.CharField(max_length=10, choices=State.choices)
    revision = models.BigIntegerField(default=0)
    occurred_at = models.DateTimeField()
    day = models.DateField()
    currency = models.CharField(max_length=3)
    net_amount = models.BigIntegerField()
    lines = DocumentField()
    points = models.BigIntegerField()
    clawed_back = models.BigIntegerField(default=0)
    returns = DocumentField(default=dict, help_text="Answers of returns by their ref.")
    transaction_number = models.BigIntegerField(null=True, help_text="Its first award.")
    awarded_to = models.UUIDField(
        null=True, help_text="In whose ledger that is, where it is not the member's own."
    )
    program_version = models.IntegerField()
    recorded_at = models.DateTimeField()
    taken = DocumentField(default=list, help_text="Of limits of earning rules.")

    class Meta:
        indexes = [models.Index(fields=["program_id", "recorded_at"], name="order_by_time")]

    def __str__(self) -> str:
        return self.ref


class ActivityClaim(models.Model):
    """Makes an activity's ref unique per program and kind of activity, for ever."""

    pk = models.CompositePrimaryKey("program_id", "activity", "ref")
    program_id = models.IntegerField()
    activity = models.CharField(max_length=50)
    ref = models.CharField(max_length=100)
    member_id = models.UUIDField()
    number = models.BigIntegerField(help_text="Of the ledger transaction.")
    lot_number = models.BigIntegerField(null=True, help_text="Of the lot that it earned.")
    content_hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.activity} {self.ref}"


class OrderClaim(models.Model):
    """Makes an order's ref unique per program and store (or channel), for ever."""

    # The ref first: it is also looked for without a scope, and this is the only index.
    pk = models.CompositePrimaryKey("program_id", "ref", "scope")
    program_id = models.IntegerField()
    scope = models.CharField(max_length=60, help_text="store:CODE, or channel:NAME.")
    ref = models.CharField(max_length=100)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
