"""The timetable that beat keeps, which is in PostgreSQL and can be changed in the admin."""

import time

from django_celery_beat.schedulers import DatabaseScheduler

LOOK_SECONDS = 1.0


class Timetable(DatabaseScheduler):  # type: ignore[misc]
    """The timetable; whether it was changed is asked once a second.

    The library asks several times for each task that it begins: forty statements a second for
    nothing, and a quarter of beat's CPU.
    """

    _looked_at = float("-inf")

    def schedule_changed(self) -> bool:
        """Tell whether somebody changed the timetable since this was asked last."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        return bool(super().schedule_changed())
