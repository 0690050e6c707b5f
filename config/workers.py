"""How the launcher starts the worker and the timetable."""

import sys

from config import environment as env


def worker_command() -> list[str]:
    """Return the command line of the worker.

    Threads, because its work is waiting for other servers: a destination that hangs holds its
    own few threads, and leaves the others to everybody else. Many, because fifty may hang at once,
    and a thread that waits costs some kilobytes, and no connection to PostgreSQL.
    """
    count = env.integer("WORKER_THREADS", 256, low=6, high=1024)
    return [
        *(sys.executable, "-m", "celery", "-q", "-A", "config", "worker", "--loglevel", "WARNING"),
        *("--pool", "threads", "--concurrency", str(count)),
        *("--without-gossip", "--without-mingle"),
        *("--hostname", "worker@%h"),
    ]


def worker_niceness() -> int:
    """Return how far the worker lets tills go first where both want the same processor."""
    return env.integer("WORKER_NICE", 5, low=0, high=19)


def beat_command() -> list[str]:
    """Return the command line of the timetable; without a pid file, which a kill would leave."""
    return [
        *(sys.executable, "-m", "celery", "-q", "-A", "config", "beat", "--loglevel", "WARNING"),
        *("--pidfile", ""),
    ]
