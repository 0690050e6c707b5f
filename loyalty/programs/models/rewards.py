"""Rewards as marketers edit them, and their stock, which tills write."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from loyalty.programs import choices, entries
from loyalty.programs.fields import ExactDecimalField
from loyalty.programs.models.base import PartOfProgram, codes
from loyalty.programs.models.program import Program
from loyalty.programs.shapes.rewards import STOCK_LOW


def default_stock_low() -> list[int]:
    """Tell when few are left, and when none is."""
    return list(STOCK_LOW)


class Reward(PartOfProgram):
    """What the catalogue offers for points. How many are left is kept in `RewardStock`."""

    part = entries.REWARD

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="rewards")
    code = models.CharField(max_length=50, help_text="Short name for the tills, such as mug.")
    name = models.CharField(max_length=100, help_text="What members see.")
    is_active = models.BooleanField(default=True, help_text="Off: nobody can take it.")
    cost = models.PositiveIntegerField(help_text="Points.")
    tier_costs = models.JSONField(
        default=dict, blank=True, help_text="Points for members of single levels, by their codes."
    )
    gives = models.CharField(
        max_length=20, choices=choices.Gives.choices, default=choices.Gives.AMOUNT_OFF
    )
    amount = ExactDecimalField(
        null=True, blank=True, help_text="How much off, or credited; of a percentage the most."
    )
    percent = ExactDecimalField(
        null=True, blank=True, help_text="How many percent off the purchase."
    )
    what = models.CharField(
        max_length=100,
        blank=True,
        help_text="The product's number, the pool of codes, or what is to be done.",
    )
    code_shown = models.CharField(
        max_length=10, choices=choices.CodeShown.choices, default=choices.CodeShown.ALWAYS
    )
    code_returned = models.CharField(
        max_length=10, choices=choices.CodeReturned.choices, default=choices.CodeReturned.BURN
    )
    stock = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many there are in all, with those already taken; empty means no limit.",
    )
    stock_low = ArrayField(
        models.PositiveIntegerField(),
        default=default_stock_low,
        blank=True,
        help_text="Colleagues are told when so many are left: 10, 0.",
    )
    per_member_times = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How often one member may have it; empty: no limit."
    )
    per_member_per = models.CharField(
        max_length=10, choices=choices.Period.choices, default=choices.Period.EVER
    )
    auto_redeem = models.BooleanField(
        default=False, help_text="Redeemed by itself as soon as a member has the points."
    )
    tiers = codes("Only for members of the levels with these codes; empty means all.")
    segments = codes("Only for members in one of these segments; empty means all.")
    not_in_segments = codes("Not for members in one of these segments.")
    starts_on = models.DateField(null=True, blank=True, help_text="First day; empty: always.")
    ends_on = models.DateField(null=True, blank=True, help_text="Last day; empty: no end.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Smaller comes first.")

    class Meta:
        ordering = ["program_id", "position", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="reward_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name


class RewardStock(models.Model):
    """How many of a reward are left: tills take from it, publishing changes it by differences.

    A row of its own, so that saving a reward never overwrites what tills have written. It stays
    when a reward is taken out, and counts on when it comes back.
    """

    program_id = models.IntegerField()
    reward = models.CharField(max_length=50)
    total = models.IntegerField(help_text="The stock of the published version.")
    remaining = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program_id", "reward"], name="stock_unique_in_program"
            ),
            models.CheckConstraint(condition=models.Q(remaining__gte=0), name="stock_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.reward}: {self.remaining} of {self.total}"
