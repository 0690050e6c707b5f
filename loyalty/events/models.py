"""The transactional outbox: every effect leaves exactly one row, in its own transaction."""

from django.db import models

from loyalty.events.documents import DocumentField


class OutboxEvent(models.Model):
    """What happened to a member, with the balances after it.

    `id` is drawn under the member's lock, so it orders a member's events as `sequence` does.
    `position` is stamped later by one relay at a time and is what every reader goes by: neither
    ids nor transaction ids become visible in order. The table's key in the database is
    (member_id, sequence).
    """

    id = models.BigAutoField(primary_key=True)
    member_id = models.UUIDField()
    sequence = models.BigIntegerField()
    program_id = models.IntegerField()
    type = models.CharField(max_length=40)
    version = models.SmallIntegerField(default=1)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    cause = DocumentField()
    balances = DocumentField()
    data = DocumentField()
    position = models.BigIntegerField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["position", "id"], name="outbox_position"),
            models.Index(  # commands do not pay for it: what they write has no position yet
                fields=["program_id", "position"],
                condition=models.Q(position__isnull=False),
                name="outbox_feed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence}"


class FeedHead(models.Model):
    """The one row that a relay locks while it stamps; `position` is the last one given."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)
