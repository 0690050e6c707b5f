"""Earning rules as marketers edit them."""

from django.db import models

from loyalty.programs import choices, entries
from loyalty.programs.fields import ExactDecimalField
from loyalty.programs.models.base import PartOfProgram
from loyalty.programs.models.program import Program


class EarningRule(PartOfProgram):
    """A standing rule: points for orders, activities, joining, friends or a day of the year."""

    part = entries.RULE

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="earning_rules")
    code = models.CharField(
        max_length=50, help_text="Short name that is kept with every award, such as base."
    )
    name = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True, help_text="Off: as if it did not exist.")
    kind = models.CharField(
        max_length=10, choices=choices.RuleKind.choices, default=choices.RuleKind.BASE
    )
    points = models.PositiveIntegerField(
        null=True, blank=True, help_text="Points for the amount: so many points ..."
    )
    per = ExactDecimalField(null=True, blank=True, help_text="... for each of this amount.")
    steps = models.CharField(
        max_length=20, choices=choices.RuleSteps.choices, default=choices.RuleSteps.WHOLE
    )
    multiply = ExactDecimalField(
        null=True, blank=True, help_text="More points: 2 doubles the points for the amount."
    )
    bonus = models.PositiveIntegerField(
        null=True, blank=True, help_text="A fixed number of points: how many."
    )
    trigger = models.CharField(
        max_length=30, choices=choices.RuleTrigger.choices, default=choices.RuleTrigger.ORDER
    )
    activity = models.CharField(
        max_length=50, blank=True, help_text="Which one, as the other system calls it: review."
    )
    who = models.CharField(
        max_length=10,
        blank=True,
        choices=choices.RuleWho.choices,
        help_text="Each side of a referral has rules of its own.",
    )
    when = models.JSONField(
        default=dict,
        blank=True,
        help_text="Conditions, as in a program file; empty: always.",
    )
    limit_times = models.PositiveIntegerField(
        null=True, blank=True, help_text="How often one member may have it; empty: no limit."
    )
    limit_points = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many points one member may have of it."
    )
    limit_per = models.CharField(
        max_length=10, choices=choices.Period.choices, default=choices.Period.EVER
    )
    group = models.CharField(
        max_length=50,
        blank=True,
        help_text="Of the rules of a group only the best one counts; empty: it adds up.",
    )
    starts_on = models.DateField(null=True, blank=True, help_text="First day; empty: always.")
    ends_on = models.DateField(null=True, blank=True, help_text="Last day; empty: no end.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Smaller comes first.")

    class Meta:
        ordering = ["program_id", "position", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="rule_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name or self.code
