"""The Celery application: workers and beat are started as `celery -A config`."""

import os
import sys

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

if "celery" in sys.argv[0] and "worker" in sys.argv:
    os.environ["LOYALTY_PROCESS"] = "worker"  # settings.py lets its threads share connections

app = Celery("loyalty", fixups=["config.connections:with_django"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
