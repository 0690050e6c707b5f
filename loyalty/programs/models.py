"""A program as marketers edit it, and its published versions.

These tables are a draft: tills see a change only when it is published, all at once
(docs/decisions/0002). Each row is checked by the same rules, in the same sentences, as its part of
a program file.
"""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models.functions import Now

from loyalty.programs import choices, document, entries
from loyalty.programs.fields import ExactDecimalField
from loyalty.programs.values import Context

CURRENCY_IS_FIXED = "The currency of a published program cannot change; start another program."


def default_notice_days() -> list[int]:
    """Give each new program a list of its own."""
    return list(document.NOTICE_DAYS)


def _codes(help_text: str) -> Any:
    return ArrayField(
        models.CharField(max_length=100), default=list, blank=True, help_text=help_text
    )


class PartOfProgram(models.Model):
    """A row that is one part of a program's document."""

    part: ClassVar[entries.Part]

    class Meta:
        abstract = True

    def entry(self) -> dict[str, Any]:
        """Write the row as the program file has it."""
        return self.part.write(self)

    def clean(self) -> None:
        """Check the row as its part of a file would be, before anybody publishes it."""
        program = self if isinstance(self, Program) else self._program()
        if program is None:
            return
        columns = {field.name for field in self._meta.fields}
        found: dict[str, list[str]] = {}
        for column, messages in self.part.problems(self, program.context()).items():
            key = column if column in columns else NON_FIELD_ERRORS
            found.setdefault(key, []).extend(messages)
        if found:
            raise ValidationError(found)

    def _program(self) -> "Program | None":
        """None while a form has not said yet to which program the row belongs."""
        return getattr(self, "program", None)


class Program(PartOfProgram):
    """One loyalty scheme: a brand's points, rules, tiers, rewards and stores."""

    part = entries.HEAD

    code = models.SlugField(
        unique=True, help_text="Short name for files and keys, such as grocer. Cannot be changed."
    )
    name = models.CharField(max_length=100, help_text="What members and colleagues call it.")
    timezone = models.CharField(
        max_length=50,
        default="UTC",
        help_text="Decides when a day begins and ends, such as America/New_York.",
    )
    currency = models.CharField(
        max_length=3,
        help_text="Three letters, such as USD. Cannot be changed once published.",
    )
    version = models.IntegerField(
        default=0, editable=False, help_text="The version that tills use now; 0 is none yet."
    )
    qualify_by = models.CharField(
        max_length=10,
        choices=choices.QualifyBy.choices,
        default=choices.QualifyBy.SPEND,
        help_text="What brings a member to the next tier level.",
    )
    window = models.CharField(
        max_length=20,
        choices=choices.Window.choices,
        default=choices.Window.ROLLING,
        help_text="The time over which it is added up.",
    )
    rolling_months = models.PositiveSmallIntegerField(
        default=12, help_text="How many months, where the last months count."
    )
    downgrade = models.CharField(
        max_length=20,
        choices=choices.Downgrade.choices,
        default=choices.Downgrade.ONE_LEVEL,
        help_text="What happens to members who no longer qualify for their level.",
    )
    grace_days = models.PositiveSmallIntegerField(
        default=30, help_text="Days between the warning and the fall; 0 means no warning."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def context(self) -> Context:
        """Tell how the amounts of this program are read."""
        return document.context_of(
            {"currency": self.currency, "tiers": {"qualify_by": self.qualify_by}}
        )

    def clean(self) -> None:
        """Check as a file would be, and keep the currency of what was published."""
        super().clean()
        published = Program.objects.filter(pk=self.pk, version__gt=0).first()
        if published is not None and published.currency != self.currency:
            raise ValidationError({"currency": CURRENCY_IS_FIXED})


class PointCurrency(PartOfProgram):
    """How the points of a program behave."""

    part = entries.POINTS

    program = models.OneToOneField(Program, on_delete=models.CASCADE, related_name="points")
    name = models.CharField(
        max_length=100, default="points", help_text="What members collect: points, stars, miles."
    )
    rounding = models.CharField(
        max_length=10, choices=choices.Rounding.choices, default=choices.Rounding.DOWN
    )
    value_points = models.PositiveIntegerField(
        default=100, help_text="Paying with points: so many points ..."
    )
    value_amount = ExactDecimalField(default=1, help_text="... pay for this amount of money.")
    maturity_days = models.PositiveSmallIntegerField(
        default=0, help_text="Days until new points can be used, such as the days for returns."
    )
    hold_minutes = models.PositiveIntegerField(
        default=30, help_text="How long a till may keep points reserved before it takes them."
    )
    unknown_member = models.CharField(
        max_length=10,
        choices=choices.UnknownMember.choices,
        default=choices.UnknownMember.REFUSE,
        help_text="What a purchase with a card that nobody knows does.",
    )
    expiry = models.CharField(
        max_length=10,
        choices=choices.Expiry.choices,
        default=choices.Expiry.NONE,
        help_text="When points expire.",
    )
    expiry_months = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How many months after the purchase."
    )
    expiry_until = models.CharField(
        max_length=20, choices=choices.Until.choices, default=choices.Until.DAY
    )
    expiry_dates = ArrayField(
        models.CharField(max_length=5),
        default=list,
        blank=True,
        help_text="Month and day, such as 03-31; points expire at the end of the next one.",
    )
    clawback = models.CharField(
        max_length=20,
        choices=choices.Clawback.choices,
        default=choices.Clawback.DEBT,
        help_text="Who pays where a purchase is returned and its points are already spent.",
    )
    expiring_notice_days = ArrayField(
        models.PositiveSmallIntegerField(),
        default=default_notice_days,
        blank=True,
        help_text="So many days before points expire, the member is told: 30, 7.",
    )
    accept_late_days = models.PositiveSmallIntegerField(
        default=400, help_text="How old a purchase may be that a till sends late."
    )
    lapsed = models.CharField(
        max_length=10,
        choices=choices.Lapsed.choices,
        default=choices.Lapsed.EXPIRE,
        help_text="What becomes of points that come back after they have expired.",
    )
    lapsed_grace_days = models.PositiveSmallIntegerField(
        default=14, help_text="How many more days they can be used, where they can."
    )

    class Meta:
        verbose_name_plural = "point currencies"

    def __str__(self) -> str:
        return self.name


class Store(PartOfProgram):
    """A place where members buy; a till names it by its code."""

    part = entries.STORE

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="stores")
    code = models.CharField(max_length=50, help_text="As the tills send it, such as 309.")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["program_id", "code"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="store_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name


class EarningRule(PartOfProgram):
    """A standing rule that gives points for orders, or for joining."""

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
    categories = _codes("Only for lines of these categories; empty means all.")
    brands = _codes("Only for lines of these brands; empty means all.")
    stores = _codes("Only at the stores with these codes; empty means all.")
    order_amount_min = ExactDecimalField(
        null=True, blank=True, help_text="Only for orders of at least this amount."
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

    class Meta:
        ordering = ["program_id", "threshold"]
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="tier_unique_in_program")
        ]

    def __str__(self) -> str:
        return self.name


class Reward(PartOfProgram):
    """What the catalogue offers for points. How many are left is kept in `RewardStock`."""

    part = entries.REWARD

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="rewards")
    code = models.CharField(max_length=50, help_text="Short name for the tills, such as mug.")
    name = models.CharField(max_length=100, help_text="What members see.")
    is_active = models.BooleanField(default=True, help_text="Off: nobody can take it.")
    cost = models.PositiveIntegerField(help_text="Points.")
    gives = models.CharField(
        max_length=20, choices=choices.Gives.choices, default=choices.Gives.AMOUNT_OFF
    )
    amount = ExactDecimalField(null=True, blank=True, help_text="How much off the purchase.")
    product = models.CharField(max_length=100, blank=True, help_text="The product's number.")
    stock = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many there are in all, with those already taken; empty means no limit.",
    )
    per_member_times = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How often one member may have it; empty: no limit."
    )
    per_member_per = models.CharField(
        max_length=10, choices=choices.Period.choices, default=choices.Period.EVER
    )
    tiers = _codes("Only for members of the levels with these codes; empty means all.")
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


class PublishedVersion(models.Model):
    """What a program was from one moment to the next; never changed afterwards.

    Every ledger transaction names the version under which it was decided, so each can be
    explained for ever.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="versions")
    version = models.IntegerField()
    document = models.JSONField(help_text="The whole program, as its file has it.")
    published_at = models.DateTimeField(db_default=Now())
    published_by = models.CharField(max_length=100)
    summary = models.TextField(help_text="What changed, one line each.")

    class Meta:
        ordering = ["program_id", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["program", "version"], name="version_unique_in_program")
        ]

    def __str__(self) -> str:
        return f"version {self.version}"
