"""Which night of a program has been done."""

from django.db import models


class NightlyRun(models.Model):
    """One local day of one program whose nightly steps have all been run."""

    program_id = models.IntegerField()
    day = models.DateField()
    finished_at = models.DateTimeField(auto_now_add=True)
    settled = models.IntegerField(default=0, help_text="Members with something due.")
    tiers_changed = models.IntegerField(default=0)
    notices = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program_id", "day"], name="nightly_run_once")
        ]
