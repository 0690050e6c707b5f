"""Publish the benchmark's program with so many rules: `python -m benchmarks.engine.rules 200`."""

import os
import sys
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import django

from benchmarks.engine.prepare import PROGRAM


def rules() -> Iterator[dict[str, Any]]:
    """Give rules as a chain has them after some years; none is for the order that tills send."""
    for number in count():
        yield {"code": f"category-{number}", "multiply": "2", "when": {"category": [f"C{number}"]}}
        yield {"code": f"brand-{number}", "bonus": 25, "when": {"brand": [f"B{number}", "OWN"]}}
        yield {"code": f"basket-{number}", "bonus": 50, "when": {"order_amount_min": "500.00"}}
        yield {
            "code": f"gold-{number}",
            "bonus": 10,
            "when": {"tier": ["gold"], "sku": [f"{number}{digit}" for digit in range(20)]},
        }
        yield {"code": f"evening-{number}", "bonus": 5, "when": {"channel": ["app", "web"]}}


def publish(rules_in_all: int) -> None:
    """Publish the program with its two rules and as many others as are missing."""
    from loyalty.programs.services import apply_document

    own = PROGRAM["earning_rules"]
    others = list(islice(rules(), rules_in_all - len(own)))
    apply_document({**PROGRAM, "earning_rules": [*own, *others]}, actor="benchmark")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    publish(int(sys.argv[1]))
