"""How gunicorn serves the engine: `gunicorn -c config/gunicorn.py config.wsgi`."""

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

from config import environment as env
from config import metrics_folder

bind = f"{env.text('HOST', '127.0.0.1')}:{env.integer('PORT', 8000, low=1, high=65535)}"
workers = env.integer("WEB_WORKERS", 2, low=1, high=256)
threads = env.integer("WEB_THREADS", 8, low=1, high=256)
worker_class = "config.web_worker.Worker"
preload_app = True  # imports once, and the workers share its memory
timeout = env.integer("WEB_TIMEOUT", 30, low=1, high=3600)
graceful_timeout = 8  # seconds for requests that are under way when we stop
keepalive = 15  # seconds; tills and proxies keep their connections
worker_tmp_dir = (
    "/dev/shm" if Path("/dev/shm").is_dir() else None
)  # heartbeats never wait for a disk
control_socket_disable = True
# Read when prometheus_client is imported. Without it /metrics has the counts of whichever process
# happens to answer.
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _parent = Path(worker_tmp_dir or tempfile.gettempdir())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder.new_folder(_parent))
errorlog = "-"
loglevel = "warning"


def when_ready(server: Any) -> None:
    """Before the workers fork, import what their first request would, and settle the memory.

    What is here now stays for ever: the garbage collector need not walk through it again, and the
    workers share it. A batch of 1,000 makes some 100,000 objects that are all in use: looking for
    garbage after each 700 of them took a quarter of its time.
    """
    from django.urls import get_resolver

    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def child_exit(server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of /metrics."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    metrics_folder.remove_own(os.environ["PROMETHEUS_MULTIPROC_DIR"])
