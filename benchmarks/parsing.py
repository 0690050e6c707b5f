"""Validation of a 5-line order, by the engine's schema and by DRF's serializers.

Runs with the engine's settings: `python -m benchmarks.parsing` prints microseconds as JSON.
"""

import json
import time
from collections.abc import Callable

from benchmarks import tills
from benchmarks.rounds import Plan, Row, absolute
from benchmarks.stage import Stage


def validation(stage: Stage, plan: Plan) -> list[Row]:
    """Validation of an order with five lines, in microseconds."""
    engine = stage.site("engine")
    rounds = [
        json.loads(engine.run("-m", "benchmarks.parsing").splitlines()[-1])
        for _ in range(plan.rounds)
    ]
    return [
        absolute("validation: schema", [each["engine"] for each in rounds], "<= 40", "µs"),
        absolute("validation: DRF serializers", [each["plain"] for each in rounds], unit="µs"),
    ]


def _microseconds(validate: Callable[[bytes], object], times: int) -> float:
    body = json.dumps(tills.earn_body(tills.card(1), "31625220889")).encode()
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(times):
            validate(body)
        best = min(best, (time.perf_counter() - started) / times)
    return best * 1_000_000


def main() -> None:
    """Measure both."""
    import django

    django.setup()
    from benchmarks.plain.serializers import EarnSerializer
    from loyalty.http.bodies import load_json
    from loyalty.orders.schemas import EarnRequest

    def serialize(body: bytes) -> None:
        EarnSerializer(data=load_json(body)).is_valid(raise_exception=True)

    found = {
        "engine": _microseconds(EarnRequest.model_validate_json, 2_000),
        "plain": _microseconds(serialize, 200),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
