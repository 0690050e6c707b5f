"""Threads of tests that use the database."""

import threading
from collections.abc import Callable

from django.db import connections


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start it in a thread that leaves no connection behind."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
