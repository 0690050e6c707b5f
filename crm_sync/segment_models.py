"""Which segments of a vendor fill which of ours, and how far they are read."""

import uuid

from django.db import models
from django.utils import timezone


class PolledSegment(models.Model):
    """One of a vendor's segments: whoever is in it there, and nobody else, is in one of ours.

    Attributes:
        walk: Another one whenever reading begins anew, so that nobody goes on with an old one.
        page: Where to read on; the adapter's own, empty at the beginning.
        pages, mark: By which a vendor that leads in a circle is noticed.
        is_read: All is read; who was not met is still to be taken out of ours.
        strangers_met: People in the walk under way who are no members.
        next_at: When it is read again, or gone on with; moved ahead while somebody reads.
        read_at: When it was last read to the end; `members` and `strangers` were met then.
    """

    connection = models.ForeignKey(
        "crm_sync.Connection", on_delete=models.CASCADE, related_name="polled_segments"
    )
    vendor_segment = models.CharField("vendor's segment", max_length=100)
    segment = models.CharField(
        "our segment",
        max_length=50,
        help_text="Its code. All that is in it comes from the vendor: others are taken out.",
    )
    walk = models.UUIDField(default=uuid.uuid4, editable=False)
    page = models.TextField(blank=True, editable=False)
    pages = models.IntegerField(default=0, editable=False)
    mark = models.TextField(blank=True, editable=False)
    is_read = models.BooleanField(default=False, editable=False)
    strangers_met = models.IntegerField(default=0, editable=False)
    next_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, editable=False)
    members = models.IntegerField(default=0, editable=False)
    strangers = models.IntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        app_label = "crm_sync"
        ordering = ["connection", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "vendor_segment"], name="vendor_segment_once"
            ),
            models.UniqueConstraint(fields=["connection", "segment"], name="segment_filled_once"),
        ]
        indexes = [models.Index(fields=["next_at"], name="polled_segment_due")]

    def __str__(self) -> str:
        return f"{self.vendor_segment} as {self.segment}"


class SegmentSighting(models.Model):
    """A member who was met in a vendor's segment, in the walk that is under way."""

    pk = models.CompositePrimaryKey("polled_id", "member_id")
    polled = models.ForeignKey(
        PolledSegment, on_delete=models.CASCADE, related_name="sightings", db_index=False
    )
    member_id = models.UUIDField()

    class Meta:
        app_label = "crm_sync"
        indexes = [models.Index(fields=["member_id"], name="sighting_of_member")]

    def __str__(self) -> str:
        return f"{self.member_id} in {self.polled_id}"
