"""Campaigns as a program's draft has them, and their budgets, which tills write."""

from django.db import models

from loyalty.programs import entries
from loyalty.programs.models.base import PartOfProgram
from loyalty.programs.models.program import Program


class Campaign(PartOfProgram):
    """Dated rules with a budget. How much is given is kept in `CampaignBudget`."""

    part = entries.CAMPAIGN

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="campaigns")
    code = models.CharField(max_length=50, help_text="Short name, kept with every award.")
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True, help_text="Off: as if it did not exist.")
    starts_on = models.DateField(
        help_text="It begins as this day begins in the program's time zone."
    )
    ends_on = models.DateField(help_text="It ends as this day ends there.")
    budget_points = models.BigIntegerField(
        null=True, blank=True, help_text="Points that it may give in all; empty: no end."
    )
    when_short = models.CharField(
        max_length=10,
        default="reduce",
        choices=[("reduce", "give what is left"), ("skip", "give nothing")],
        help_text="Where an award is more than what is left of the budget.",
    )
    rules = models.JSONField(help_text="Its earning rules, as in a program file.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Smaller comes first.")

    class Meta:
        ordering = ["program_id", "position", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="campaign_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name


class CampaignBudget(models.Model):
    """What a campaign has given of its budget.

    A row of its own, so that publishing never overwrites what tills have written. Tills take from
    it without locking it first; the CHECK refuses what would be too much, and they decide again.
    """

    program_id = models.IntegerField()
    campaign = models.CharField(max_length=50)
    total = models.BigIntegerField(help_text="The budget of the published version.")
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program_id", "campaign"], name="budget_unique_in_program"
            ),
            models.CheckConstraint(
                condition=models.Q(used__lte=models.F("total")), name="budget_not_exceeded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}: {self.used} of {self.total}"
