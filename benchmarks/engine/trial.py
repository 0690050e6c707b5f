"""Try another program over the grocer's last year: `python -m benchmarks.engine.trial`.

Ends with a line of JSON: how many orders there were, and what this process took.
"""

import json
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

from benchmarks import machine
from benchmarks.engine.past import DAYS
from benchmarks.engine.prepare import PROGRAM

DRAFT: dict[str, Any] = {
    **PROGRAM,
    "earning_rules": [
        *PROGRAM["earning_rules"],
        {"code": "dairy", "multiply": "3", "when": {"category": ["DAIRY"]}},
        {
            "code": "big-basket",
            "bonus": 25,
            "when": {"order_amount_min": "20.00"},
            "limit": {"times": 2, "per": "month"},
        },
    ],
    "tiers": {**PROGRAM["tiers"], "window": {"rolling_months": 6}},
}
"""Two more rules, one of them with a limit, and levels that are harder to keep."""


def run() -> dict[str, Any]:
    """Call the command that a marketer calls, progress bar and all."""
    from django.core.management import call_command
    from django.utils import timezone

    from loyalty.trials.models import Backtest

    begun, cpu = time.perf_counter(), time.process_time()
    today = timezone.now().date()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "draft.yaml"
        file.write_text(json.dumps(DRAFT))
        call_command(
            "backtest",
            program="grocer",
            begin=today - timedelta(days=DAYS + 5),
            end=today,
            file=str(file),
        )
    result = Backtest.objects.latest("id").result
    assert result is not None
    return {
        "orders": result["orders"],
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "peak": machine.peak_bytes(),
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(json.dumps(run()))
