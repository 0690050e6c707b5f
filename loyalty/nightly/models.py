"""What each night did, step by step, and what members were told."""

from django.db import models


class NightlyRun(models.Model):
    """One local day of one program, and the steps of its night.

    Attributes:
        since: The first day whose birthdays and notices are this night's: the one after the last
            night that was done, so that nights that were missed are caught up.
        updated_at: A sign of life; a night that is not done and gives none was cut short.
    """

    program_id = models.IntegerField()
    day = models.DateField()
    since = models.DateField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program_id", "day"], name="nightly_run_once")
        ]

    def __str__(self) -> str:
        return f"Night to {self.day}"


class NightlyStep(models.Model):
    """One step of a night.

    Attributes:
        after: The last member that is done: where a night that was cut short goes on.
        members: How many were looked at.
        changed: For how many something happened.
        error: What failed first; the other members went on.
    """

    run = models.ForeignKey(NightlyRun, on_delete=models.CASCADE, related_name="steps")
    position = models.SmallIntegerField()
    name = models.CharField(max_length=20)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    after = models.UUIDField(null=True)
    members = models.IntegerField(default=0)
    changed = models.IntegerField(default=0)
    errors = models.IntegerField(default=0)
    error = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="nightly_step_once")]

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """A member was told something, once: points that expire, or how long they have been away.

    Attributes:
        kind: `expiring:30` or `inactive:180`: what, and at how many days.
        about: When the points expire; the day of the last purchase or redemption.
    """

    pk = models.CompositePrimaryKey("member_id", "kind", "about")
    member_id = models.UUIDField()
    kind = models.CharField(max_length=20)
    about = models.DateTimeField()
    told_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["told_at"], name="notice_by_time")]
