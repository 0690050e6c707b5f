"""Make the engine's tables, a program and members, and print a key."""

import os
from typing import Any

import django
from django.core.management import call_command

from benchmarks import tills

PROGRAM: dict[str, Any] = {
    "program": "grocer",
    "name": "Grocer Rewards",
    "timezone": "America/New_York",
    "currency": "USD",
    "points": {
        "name": "points",
        "value": {"points": 100, "amount": "1.00"},
        "expiry": {"months": 12, "until": "end_of_month"},
    },
    "stores": [{"code": "309", "name": "Main Street"}],
    "earning_rules": [
        {"code": "base", "points": 1, "per": "1.00"},
        {"code": "double-produce", "multiply": "2", "when": {"category": ["PRODUCE"]}},
    ],
    "tiers": {
        "qualify_by": "spend",
        "window": {"rolling_months": 12},
        "levels": [
            {"code": "bronze", "from": "0"},
            {"code": "silver", "from": "250.00", "earn_multiplier": "1.25"},
            {"code": "gold", "from": "1000.00", "earn_multiplier": "1.50"},
        ],
        "downgrade": "one_level",
        "grace_days": 30,
    },
    "rewards": [
        {"code": "five-off", "name": "$5 off", "cost": 500, "gives": {"amount_off": "5.00"}},
    ],
}


def prepare() -> str:
    """Write what the tills need; return an API key."""
    from loyalty.http.auth import SCOPES, Principal, create_api_key
    from loyalty.programs.services import apply_document

    call_command("migrate", verbosity=0)
    program = apply_document(PROGRAM, actor="benchmark")
    _, key = create_api_key(program_id=program.pk, scopes=SCOPES, name="till")
    enrol(Principal(1, program.pk, "benchmark", frozenset(SCOPES)))
    return key


def enrol(principal: Any) -> None:
    """Enrol all members, with points to redeem."""
    from loyalty.engine.commands import Command
    from loyalty.engine.run import run
    from loyalty.members.adjustments import ADJUST
    from loyalty.members.schemas import AdjustRequest, EnrolRequest
    from loyalty.members.services import ENROL

    for first in range(0, tills.MEMBERS, tills.BATCH):
        cards = [tills.card(number) for number in range(first, first + tills.BATCH)]
        known = [{"identifiers": [{"type": "card", "value": card}]} for card in cards]
        points = [
            {"member": f"card:{card}", "points": tills.POINTS_AT_FIRST, "reason": "to redeem"}
            for card in cards
        ]
        for kind, model, bodies in ((ENROL, EnrolRequest, known), (ADJUST, AdjustRequest, points)):
            commands = [Command(kind, model.model_validate(body)) for body in bodies]
            answers = run(commands, principal=principal)
            wrong = [answer for answer in answers if answer.status != 201]
            if wrong:
                raise SystemExit(f"{kind.name} failed: {wrong[0].body.decode()}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(prepare())
