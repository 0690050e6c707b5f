"""Program, its stores, and how its points behave."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from loyalty.programs import choices, document, entries
from loyalty.programs.fields import ExactDecimalField
from loyalty.programs.models.base import PartOfProgram
from loyalty.programs.shapes.points import INACTIVE_DAYS, NOTICE_DAYS
from loyalty.programs.shapes.tiers import WARNING_DAYS
from loyalty.programs.values import Context

CURRENCY_IS_FIXED = "The currency of a published program cannot change; start another program."


def default_inactive_days() -> list[int]:
    """Give each new program a list of its own."""
    return list(INACTIVE_DAYS)


def default_notice_days() -> list[int]:
    """Give each new program a list of its own."""
    return list(NOTICE_DAYS)


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
    revision = models.IntegerField(
        default=0, editable=False, help_text="Counts the changes of the draft."
    )
    edited_by = models.CharField(max_length=100, default="", editable=False)
    edited_at = models.DateTimeField(null=True, editable=False)
    unlogged_revision = models.IntegerField(
        default=0,
        editable=False,
        help_text="The last change of the draft that no form of the admin made.",
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
    validity = models.CharField(
        max_length=20,
        choices=choices.Validity.choices,
        default=choices.Validity.WHILE_QUALIFYING,
        help_text="How long a level is kept, whatever comes.",
    )
    validity_months = models.PositiveSmallIntegerField(
        default=12, help_text="How many months, where it is some months."
    )
    grace_days = models.PositiveSmallIntegerField(
        default=30, help_text="Days for which a level is kept that is no longer earned."
    )
    warning_days = models.PositiveSmallIntegerField(
        default=WARNING_DAYS,
        help_text="So many days before the end of its validity the member is told; 0: never.",
    )
    on_return = models.CharField(
        max_length=20,
        choices=choices.OnReturn.choices,
        default=choices.OnReturn.KEEP,
        help_text="What a return does to a level that was reached with the purchase.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        permissions = [("publish_program", "Can publish programs")]

    def __str__(self) -> str:
        return self.name

    def context(self) -> Context:
        """Tell how the amounts of this program are read."""
        return document.context_of(
            {"currency": self.currency, "tiers": {"qualify_by": self.qualify_by}}
        )

    def _program(self) -> "Program":
        return self

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
    pay_min = models.PositiveIntegerField(
        default=1, help_text="The fewest points with which members may pay."
    )
    pay_step = models.PositiveIntegerField(
        default=1, help_text="They pay in multiples of so many points."
    )
    pay_max_share = ExactDecimalField(
        null=True,
        blank=True,
        help_text="At most so many percent of a purchase; empty: tills need not say its amount.",
    )
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
        null=True, blank=True, help_text="How many months after the purchase, or the last activity."
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
    adjustment_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Points that one colleague may adjust for a member in 24 hours.",
    )
    signal_orders = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="More purchases of one member in an hour raise a signal of fraud; empty: never.",
    )
    signal_adjustments = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The same of adjustments by one colleague or key.",
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
    inactive_notice_days = ArrayField(
        models.PositiveSmallIntegerField(),
        default=default_inactive_days,
        blank=True,
        help_text="After so many days without a purchase or a redemption, an event says so: 180.",
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
