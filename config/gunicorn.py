"""How gunicorn serves the engine: `gunicorn -c config/gunicorn.py config.wsgi`."""

import os
from pathlib import Path
from typing import Any

from config import environment as env

bind = f"{env.text('HOST', '127.0.0.1')}:{env.integer('PORT', 8000, low=1, high=65535)}"
workers = env.integer("WEB_WORKERS", 2, low=1, high=256)
threads = env.integer("WEB_THREADS", 8, low=1, high=256)
worker_class = "gthread"
preload_app = True  # imports once, and the workers share its memory
timeout = env.integer("WEB_TIMEOUT", 30, low=1, high=3600)
graceful_timeout = 8  # seconds for requests that are under way when we stop
keepalive = 15  # seconds; tills and proxies keep their connections
worker_tmp_dir = (
    "/dev/shm" if Path("/dev/shm").is_dir() else None
)  # heartbeats never wait for a disk
control_socket_disable = True
errorlog = "-"
loglevel = "warning"


def child_exit(server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of /metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
