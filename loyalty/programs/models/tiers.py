"""Tier levels as marketers edit them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from loyalty.programs import entries
from loyalty.programs.fields import ExactDecimalField
from loyalty.programs.models.base import PartOfProgram, codes
from loyalty.programs.models.program import Program


class TierLevel(PartOfProgram):
    """A level that members reach; the lowest begins at 0."""

    part = entries.LEVEL

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="tier_levels")
    code = models.CharField(max_length=50, help_text="Short name, such as gold.")
    name = models.CharField(max_length=100)
    threshold = ExactDecimalField(
        default=0,
        help_text="From how much on: an amount of money, points or orders, as the program says.",
    )
    earn_multiplier = ExactDecimalField(
        default=1, help_text="1.50 gives half as many points again to members of this level."
    )
    keep = models.BooleanField(
        default=False, help_text="Whoever has reached this level never falls below it."
    )
    perks = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="What else its members have, for them to read: Free delivery.",
    )
    entry_rewards = codes("Codes of the rewards that members get when they come to this level.")
    free_redemptions = models.JSONField(
        default=dict, blank=True, help_text="How many of a reward are free in a year, by its code."
    )

    class Meta:
        ordering = ["program_id", "threshold"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="tier_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name
