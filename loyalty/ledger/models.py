"""Wallets, lots, postings, ledger transactions and holds: the only tables that hold points.

Inserting a posting is the only way to change a balance: a trigger applies it to lot and wallet,
and other triggers refuse everything else (migration `0002_protect_ledger`). In the database every
key begins with the member's id, so that the ledger can be distributed by member
(docs/decisions/0003).
"""

from django.db import models

from loyalty.events.documents import DocumentField
from loyalty.ledger.buckets import Bucket

BUCKETS = [(bucket.value, bucket.name.lower()) for bucket in Bucket]


class MemberState(models.Model):
    """The one row that is locked for everything of a member.

    Attributes:
        event_seq: Sequence of the member's last event.
        number_seq: Last number given to a row of the member: ledger transactions, lots,
            redemptions, orders and tier changes share it, so numbers order a member's history.
        slides_until: When the member's sliding lots end; activity moves it, their end empties it.
        merged_into: The member who goes on for them; never one who was merged away as well.
        merged_base: What to add to a number of theirs to find the row among the survivor's.
    """

    class Status(models.TextChoices):
        """A frozen member earns and cannot redeem."""

        ACTIVE = "active"
        FROZEN = "frozen"
        MERGED = "merged"
        CLOSED = "closed"

    member = models.OneToOneField(
        "loyalty.Member",
        primary_key=True,
        on_delete=models.PROTECT,
        related_name="state",
        db_constraint=False,
    )
    program_id = models.IntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    merged_into = models.UUIDField(null=True)
    merged_base = models.BigIntegerField(null=True)
    event_seq = models.BigIntegerField(default=0)
    number_seq = models.BigIntegerField(default=0)
    slides_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["slides_until"],
                name="member_sliding",
                condition=models.Q(slides_until__isnull=False),
            ),
            models.Index(
                fields=["merged_into"],
                name="member_merged_into",
                condition=models.Q(merged_into__isnull=False),
            ),
        ]


class Wallet(models.Model):
    """A member's balance in one point currency.

    Attributes:
        seq: Counts its postings.
        posted_at: When the last one happened: none is ever earlier than the one before.
    """

    pk = models.CompositePrimaryKey("member_id", "currency")
    member_id = models.UUIDField()
    currency = models.SmallIntegerField(default=1)
    pending = models.BigIntegerField(default=0)
    available = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    debt = models.BigIntegerField(default=0)
    lifetime_earned = models.BigIntegerField(default=0)
    seq = models.BigIntegerField(default=0)
    posted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(pending__gte=0, available__gte=0, held__gte=0, debt__gte=0),
                name="wallet_not_negative",
            )
        ]


class LedgerTransaction(models.Model):
    """The postings that happened together, and why. Append-only.

    Attributes:
        kind: earn, mature, redeem, hold, capture, void, lapse, expire, claw_back, reinstate,
            adjust, merge or unmerge.
        source: Where it came from: api, admin, nightly, system.
        source_ref: The order, return or redemption it belongs to, in the caller's words.
        order_number, redemption_number: The member's order or redemption that caused it.
        reverses: Number of the ledger transaction that it takes back.
        counterpart_id, counterpart_number: The other member's ledger transaction where points
            went from one member to another.
        explanation: The rules that applied, with their arithmetic, and those that did not.
    """

    id = models.BigAutoField(primary_key=True)
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    program_version = models.IntegerField()
    kind = models.CharField(max_length=20)
    points = models.BigIntegerField(help_text="Signed effect on what the member can spend.")
    source = models.CharField(max_length=20)
    source_ref = models.CharField(max_length=100, blank=True)
    actor = models.CharField(max_length=100)
    reason = models.CharField(max_length=500, blank=True)
    store = models.CharField(max_length=50, blank=True)
    order_number = models.BigIntegerField(null=True)
    redemption_number = models.BigIntegerField(null=True)
    reverses = models.BigIntegerField(null=True)
    counterpart_id = models.UUIDField(null=True)
    counterpart_number = models.BigIntegerField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    explanation = DocumentField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["program_id", "recorded_at"], name="ledger_by_time"),
            models.Index(  # what one person adjusted for a member lately; earns do not pay for it
                fields=["member_id", "recorded_at"],
                condition=models.Q(kind="adjust"),
                name="adjustments_of_member",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.points:+d}"


class Lot(models.Model):
    """Points that were earned together and expire together.

    One that `slides` has no end of its own: it ends at its member's `slides_until`, and when that
    has come, `expires_at` says when it was (docs/decisions/0014).
    Born with zeros; postings fill it. `granted` is the sum of its buckets, by CHECK.
    `settled` is what repaid a debt, `moved` what left through transit.
    """

    pk = models.CompositePrimaryKey("member_id", "number")
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    currency = models.SmallIntegerField(default=1)
    granted = models.BigIntegerField(default=0)
    pending = models.BigIntegerField(default=0)
    available = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    redeemed = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    revoked = models.BigIntegerField(default=0)
    settled = models.BigIntegerField(default=0)
    moved = models.BigIntegerField(default=0)
    active_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    slides = models.BooleanField(default=False, db_default=False)
    origin = models.BigIntegerField(null=True, help_text="The lot it continues, if any.")
    came_from = models.CharField(
        max_length=80, null=True, help_text="The lot of another member that it continues, if any."
    )
    order_number = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    pending__gte=0,
                    available__gte=0,
                    held__gte=0,
                    redeemed__gte=0,
                    expired__gte=0,
                    revoked__gte=0,
                    settled__gte=0,
                    moved__gte=0,
                ),
                name="lot_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    granted=models.F("pending")
                    + models.F("available")
                    + models.F("held")
                    + models.F("redeemed")
                    + models.F("expired")
                    + models.F("revoked")
                    + models.F("settled")
                    + models.F("moved")
                ),
                name="lot_conserved",
            ),
        ]
        indexes = [
            models.Index(
                fields=["member_id", "expires_at", "number"],
                name="lot_spendable",
                condition=models.Q(available__gt=0, slides=False),
            ),
            models.Index(
                fields=["member_id", "number"],
                name="lot_sliding",
                condition=models.Q(available__gt=0, slides=True),
            ),
            models.Index(
                fields=["expires_at"], name="lot_expiring", condition=models.Q(available__gt=0)
            ),
            models.Index(
                fields=["active_at"], name="lot_maturing", condition=models.Q(pending__gt=0)
            ),
            models.Index(
                fields=["member_id"], name="lot_pending", condition=models.Q(pending__gt=0)
            ),
            models.Index(
                fields=["member_id", "order_number"],
                name="lot_by_order",
                condition=models.Q(order_number__isnull=False),
            ),
        ]


class ExpiryTotal(models.Model):
    """How many available points of a wallet expire at a moment: the sum over its lots.

    Those that slide are in the row of `infinity`, which PostgreSQL knows and Python does not.
    Postings keep it, as they keep wallets. Whoever reads a balance is told what expires next, and
    summing the lots for that took the longer, the more orders a member has had.
    """

    pk = models.CompositePrimaryKey("member_id", "currency", "expires_at")
    member_id = models.UUIDField()
    currency = models.SmallIntegerField(default=1)
    expires_at = models.DateTimeField()
    points = models.BigIntegerField()


class Posting(models.Model):
    """An immutable row that moves an amount of one lot from one bucket to another.

    What creates a debt (debt to revoked), or hands one to another member, has no lot.
    """

    pk = models.CompositePrimaryKey("member_id", "currency", "seq")
    member_id = models.UUIDField()
    currency = models.SmallIntegerField(default=1)
    seq = models.BigIntegerField(help_text="Counts the wallet's postings without gaps.")
    transaction_number = models.BigIntegerField()
    lot_number = models.BigIntegerField(null=True)
    source = models.SmallIntegerField(choices=BUCKETS)
    destination = models.SmallIntegerField(choices=BUCKETS)
    amount = models.BigIntegerField()
    available_after = models.BigIntegerField()
    redemption_number = models.BigIntegerField(null=True)
    posted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gte=1, amount__lte=1_000_000_000_000),
                name="posting_amount",
            ),
            models.CheckConstraint(
                condition=~models.Q(source=models.F("destination")), name="posting_moves"
            ),
            models.CheckConstraint(
                condition=models.Q(lot_number__isnull=False)
                | models.Q(source=Bucket.DEBT.value, destination=Bucket.REVOKED.value)
                | models.Q(source=Bucket.DEBT.value, destination=Bucket.TRANSIT.value)
                | models.Q(source=Bucket.TRANSIT.value, destination=Bucket.DEBT.value),
                name="posting_of_a_lot",
            ),
        ]
        indexes = [
            models.Index(
                fields=["member_id", "redemption_number"],
                name="posting_by_redemption",
                condition=models.Q(redemption_number__isnull=False),
            ),
            models.Index(fields=["member_id", "transaction_number"], name="posting_by_transaction"),
        ]


class Hold(models.Model):
    """Points reserved for a redemption that is not captured yet; same number as the redemption.

    Which lots it reserves is told by its postings.
    """

    class State(models.TextChoices):
        """One terminal state each, proved by the constraint `hold_settled_in_full`."""

        OPEN = "open"
        CAPTURED = "captured"
        VOIDED = "voided"
        LAPSED = "lapsed"

    pk = models.CompositePrimaryKey("member_id", "number")
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    program_id = models.IntegerField()
    amount = models.BigIntegerField()
    captured = models.BigIntegerField(default=0)
    released = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(captured__gte=0, released__gte=0)
                & models.Q(captured__lte=models.F("amount") - models.F("released")),
                name="hold_within_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state="open", captured__lt=models.F("amount") - models.F("released")
                )
                | models.Q(state="open", amount=0)  # a reward for nothing
                | models.Q(~models.Q(state="open"))
                & models.Q(captured=models.F("amount") - models.F("released")),
                name="hold_settled_in_full",
            ),
        ]
        indexes = [
            models.Index(fields=["member_id"], name="hold_open", condition=models.Q(state="open")),
            models.Index(fields=["expires_at"], name="hold_due", condition=models.Q(state="open")),
        ]
