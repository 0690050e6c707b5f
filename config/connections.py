"""A worker's connections to PostgreSQL are kept from one task to the next: they go to their pool.

Celery's own way closes them before and after each task, whatever `CONN_MAX_AGE` is: each task then
logged in anew and had all of its statements planned anew, which cost more than most tasks do.
"""

from celery import Celery
from celery.fixups import django as celery_django
from django.db import close_old_connections


class _Worker(celery_django.DjangoWorkerFixup):  # type: ignore[name-defined, misc]
    """What a worker does around its tasks."""

    def close_database(self, **_: object) -> None:
        """Give a connection back to its pool, which drops it if it is broken."""
        close_old_connections()


class _Django(celery_django.DjangoFixup):
    """Celery's way to live with Django, with our way to keep connections."""

    _worker_fixup: _Worker | None

    @property
    def worker_fixup(self) -> _Worker:
        """Return what a worker does around its tasks."""
        if self._worker_fixup is None:
            self._worker_fixup = _Worker(self.app)
        return self._worker_fixup


def with_django(app: Celery) -> _Django:
    """Let this app live with Django; named in `config/celery.py`."""
    found = _Django(app)
    found.install()
    return found
