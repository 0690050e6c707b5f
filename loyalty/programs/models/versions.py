"""What was published, and when."""

from django.db import models
from django.db.models.functions import Now

from loyalty.programs.models.program import Program


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
