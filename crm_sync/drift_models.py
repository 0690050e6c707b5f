"""What vendors have otherwise than they were told, and the walks that find it out."""

from django.db import models
from django.utils import timezone


class Comparison(models.Model):
    """One walk through the people of a connection, asking the vendor what it has.

    Attributes:
        after: The last member who was looked at; whoever goes on begins behind them.
        compared: Members whose profile was compared.
        untold: Members who were not: something newer is on its way to the vendor, or has to be.
        drifted: Members with at least one difference.
        attempts: Failures in a row.
        next_at: Nobody goes on before: somebody is at it, or the vendor asked for a pause.
    """

    class State(models.TextChoices):
        """Failed: the vendor did not answer, ten times in a row."""

        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="comparisons"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    after = models.UUIDField(null=True)
    compared = models.IntegerField(default=0)
    untold = models.IntegerField(default=0)
    drifted = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    started_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "crm_sync"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"],
                name="comparison_one_at_a_time",
                condition=models.Q(state="running"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.compared} members at {self.connection}"


class Drift(models.Model):
    """One field of one member that a vendor has otherwise than it was told.

    Gone as soon as a comparison finds it right.

    Attributes:
        name: The vendor's field; empty where it does not know the member at all.
        since: When it was first seen.
        pushed_at: When it was last asked that the profile be sent again.
    """

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="drifts", db_index=False
    )
    member_id = models.UUIDField()
    name = models.CharField("field", max_length=200, blank=True)
    here = models.TextField()
    there = models.TextField()
    since = models.DateTimeField()
    seen_at = models.DateTimeField()
    pushed_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "crm_sync"
        verbose_name = "difference"
        constraints = [
            models.UniqueConstraint(fields=["connection", "member_id", "name"], name="drift_once")
        ]
        indexes = [models.Index(fields=["-since", "-id"], name="drift_newest")]

    def __str__(self) -> str:
        return f"{self.name or 'profile'} of {self.member_id} at {self.connection}"
