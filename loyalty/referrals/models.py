"""Who brought whom, and what is still to be done about it for whoever brought them.

Rows name members by id only, so that they stay when a person is erased (docs/decisions/0015).
"""

from django.db import models


class ReferralCode(models.Model):
    """The code by which a member brings others; unique in the program, and says nothing of them."""

    pk = models.CompositePrimaryKey("program_id", "code")
    program_id = models.IntegerField()
    code = models.CharField(max_length=20)
    member_id = models.UUIDField(unique=True)

    def __str__(self) -> str:
        return self.code


class Gift(models.Model):
    """What somebody got for a referral, so that it can be taken back.

    Attributes:
        awarded_to: In whose ledger it is; null where nothing was given.
        taken: Of limits and budgets, as orders keep it.
    """

    awarded_to = models.UUIDField(null=True)
    transaction_number = models.BigIntegerField(null=True)
    lot_number = models.BigIntegerField(null=True)
    points = models.BigIntegerField(default=0)
    taken = models.JSONField(default=list)

    class Meta:
        abstract = True


class Referral(Gift):
    """A member who joined with another member's code; the gift is what they got themselves.

    Attributes:
        member_id: Of the friend who was brought. Only commands of theirs write this row.
        order_scope, order_ref: The order that converted it, by what never changes of it.
    """

    class State(models.TextChoices):
        """Converted by the friend's first order that qualifies; reversed if that came back."""

        OPEN = "open"
        CONVERTED = "converted"
        REVERSED = "reversed"

    member_id = models.UUIDField(primary_key=True)
    program_id = models.IntegerField()
    referrer_id = models.UUIDField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    order_scope = models.CharField(max_length=60, blank=True)
    order_ref = models.CharField(max_length=100, blank=True)

    class Meta:
        indexes = [models.Index(fields=["referrer_id", "created_at"], name="referral_by_referrer")]

    def __str__(self) -> str:
        return f"{self.member_id} by {self.referrer_id}: {self.state}"


class ReferralStep(Gift):
    """What happened to a referral, as its referrer is told of it and given points for it.

    Written by the friend's command, which does not hold the referrer's lock; done by a command of
    the referrer's, once: `settled_at` says when. The gift is the referrer's.

    Attributes:
        member_id: The referrer, as when the friend joined.
        day: Of the friend's order, by the program's calendar; of joining.
        facts: Of the order, as far as rules ask for them.
    """

    class Step(models.IntegerChoices):
        """In the order in which they are done."""

        CREATED = 1
        CONVERTED = 2
        REVERSED = 3

    pk = models.CompositePrimaryKey("member_id", "friend_id", "step")
    member_id = models.UUIDField()
    friend_id = models.UUIDField()
    step = models.SmallIntegerField(choices=Step.choices)
    program_id = models.IntegerField()
    day = models.DateField()
    facts = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["program_id", "member_id"],
                name="referral_step_due",
                condition=models.Q(settled_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.friend_id} by {self.member_id}: {self.Step(self.step).name.lower()}"
