"""Where a member stands among the levels, what counted towards it, and the history."""

from django.db import models


class MemberTier(models.Model):
    """A member's present level; written by the command that changes it.

    Attributes:
        earned_level: Where somebody assigned the present level: the one that it stands in for,
            which was valid until `earned_until`. Empty otherwise.
    """

    member_id = models.UUIDField(primary_key=True)
    program_id = models.IntegerField()
    level = models.CharField(max_length=50)
    since = models.DateTimeField()
    valid_until = models.DateField(
        null=True, help_text="Last day on which the level is kept, whatever comes."
    )
    grace_until = models.DateField(
        null=True, help_text="Last day on which the level is kept; set while it is not earned."
    )
    earned_level = models.CharField(max_length=50, default="", blank=True)
    earned_until = models.DateField(null=True)

    class Meta:
        indexes = [models.Index(fields=["program_id", "level"], name="member_tier_by_level")]


class TierChange(models.Model):
    """One rise, fall, renewal or assignment; never changed afterwards.

    Attributes:
        kind: What brought it: earn, return, nightly or assign.
        reason: What whoever assigned the level gave as reason; empty otherwise.
        valid_until: Of the level from then on.
    """

    pk = models.CompositePrimaryKey("member_id", "number")
    member_id = models.UUIDField()
    number = models.BigIntegerField()
    from_level = models.CharField(max_length=50)
    to_level = models.CharField(max_length=50)
    kind = models.CharField(max_length=30)
    reason = models.TextField(default="", blank=True)
    actor = models.CharField(max_length=100, default="", blank=True)
    valid_until = models.DateField(null=True)
    metric = models.BigIntegerField(help_text="The qualifying metric at that moment.")
    program_version = models.IntegerField()
    changed_at = models.DateTimeField()


class ActivityDay(models.Model):
    """What a member did on one day of the program's calendar, by the orders' `occurred_at`.

    The qualifying metric is a sum over these rows: about as many as days with a purchase,
    whatever the number of orders.
    """

    pk = models.CompositePrimaryKey("member_id", "day")
    member_id = models.UUIDField()
    day = models.DateField()
    spend = models.BigIntegerField(default=0, help_text="Net amount in minor units.")
    points = models.BigIntegerField(default=0)
    orders = models.IntegerField(default=0)
