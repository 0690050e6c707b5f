"""Backtests that somebody asked for, with what they found."""

from django.db import models
from django.db.models.functions import Now


class Backtest(models.Model):
    """A program tried over the orders of a period; the ledger is only read.

    Attributes:
        document: The whole program that is tried, as it was when it was asked for.
        beat_at: When the process that runs it last said that it lives.
        result: What it found (`rules.Tally.document`); null until it is done.
    """

    class State(models.TextChoices):
        """Every one ends as done, failed or cancelled."""

        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    program = models.ForeignKey("loyalty.Program", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=100, help_text="What is tried: the draft, version 3.")
    document = models.JSONField()
    live_version = models.IntegerField()
    begin = models.DateField(verbose_name="first day")
    end = models.DateField(verbose_name="last day")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    orders_total = models.BigIntegerField(default=0)
    orders_done = models.BigIntegerField(default=0)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)
    problem = models.TextField(blank=True, help_text="Why it failed, for people.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.program}: {self.label}, {self.begin} to {self.end}"

    @property
    def percent(self) -> int:
        """Tell how far it is."""
        if self.state == self.State.DONE:
            return 100
        return min(99, 100 * self.orders_done // max(1, self.orders_total))

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will come."""
        return self.state in (self.State.DONE, self.State.FAILED, self.State.CANCELLED)
