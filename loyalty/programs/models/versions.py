"""What was published, when and why; and what is to be published later."""

from django.db import models
from django.db.models.functions import Now

from loyalty.programs.models.program import Program


class Outcome(models.TextChoices):
    """What became of a scheduled publication."""

    WAITING = "waiting", "waiting for its time"
    PUBLISHED = "published", "published"
    REFUSED = "refused", "refused"
    CANCELLED = "cancelled", "cancelled"


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
    reason = models.CharField(max_length=500, default="", help_text="Why, in somebody's words.")
    restores = models.IntegerField(
        null=True, help_text="The earlier version that this one went back to."
    )

    class Meta:
        ordering = ["program_id", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["program", "version"], name="version_unique_in_program")
        ]

    def __str__(self) -> str:
        return f"version {self.version}"


class ScheduledPublication(models.Model):
    """A draft that is to be published at a time, as it was when somebody scheduled it.

    It names the draft's revision: a draft that was edited afterwards is another one, which nobody
    has reviewed, and is not published in its place.
    """

    program = models.ForeignKey(Program, on_delete=models.CASCADE, related_name="scheduled")
    revision = models.IntegerField(help_text="The draft's, as it was reviewed.")
    publish_at = models.DateTimeField()
    reason = models.CharField(max_length=500)
    scheduled_by = models.CharField(max_length=100)
    scheduled_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.WAITING)
    said = models.TextField(default="", help_text="What became of it, in words.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["program"],
                condition=models.Q(state=Outcome.WAITING),
                name="one_publication_waits",
            )
        ]

    def __str__(self) -> str:
        return f"{self.program} at {self.publish_at:%Y-%m-%d %H:%M} UTC"
