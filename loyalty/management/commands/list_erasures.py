"""Print who was erased, as hashes: the list to keep outside, for a restore."""

from typing import Any

from django.core.management.base import BaseCommand

from loyalty.members.models import Erasure


class Command(BaseCommand):
    """List erasures, one a line: the time, and the keyed hash of the member's id."""

    help = "List erasures as hashes; keep the list where a restored backup cannot overwrite it."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the list, oldest first."""
        for row in Erasure.objects.order_by("erased_at", "digest").iterator():
            self.stdout.write(f"{row.erased_at.isoformat()} {row.digest}")
