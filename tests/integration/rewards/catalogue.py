"""Rewards of every kind, and what tests of them say to the engine."""

from typing import Any

import orjson

from loyalty.rewards import fulfilment
from loyalty.rewards.schemas import FulfilmentRequest, MoveFulfilment
from tests.factories import Reply, Till, redemption_of, rows


def reward(gives: dict[str, Any], *, code: str = "it", cost: Any = 100, **more: Any) -> dict:
    """Describe a reward."""
    return {"code": code, "name": "It", "cost": cost, "gives": gives, **more}


def fulfil(till: Till, redemption: str, state: str, note: str | None = None) -> Reply:
    """Tell how far a delivery is."""
    body = FulfilmentRequest.model_validate({"state": state, "note": note})
    payload = MoveFulfilment(redemption_of(redemption), body)
    return till.send(till.command(fulfilment.FULFIL, payload, redemption, state))[0]


def events(till: Till, card: str, type_: str) -> list[dict[str, Any]]:
    """List the data of a member's events of a type."""
    query = (
        "SELECT data::text FROM loyalty_outboxevent WHERE member_id = %s AND type = %s"
        " ORDER BY sequence"
    )
    return [orjson.loads(row[0]) for row in rows(query, till.ids[card], type_)]


def types_of(till: Till, card: str) -> list[str]:
    """List the types of a member's events, in their order."""
    query = "SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence"
    return [row[0] for row in rows(query, till.ids[card])]


def stock_left(till: Till, code: str = "it") -> int:
    """Read how many of a reward are left."""
    query = "SELECT remaining FROM loyalty_rewardstock WHERE program_id = %s AND reward = %s"
    left: int = rows(query, till.program.pk, code)[0][0]
    return left
