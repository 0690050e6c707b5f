"""Rewards of store credit to tell Shopify of, for its tests."""

from dataclasses import replace
from typing import Any

from crm_sync.adapters.contract import Outgoing, Person
from tests.integration.crm_sync.klaviyo_calls import ADA, event


def reward(
    sequence: int = 1, person: Person = ADA, type_: str = "reward.ordered", **more: Any
) -> Outgoing:
    """Order a reward of store credit, or cancel the one that was ordered first."""
    told = event(sequence, person=person, **more)
    number = sequence if type_ == "reward.ordered" else 1
    gives = {"store_credit": "5.00", "currency": "USD"}
    data = {"gives": gives, "redemption": f"rdm_{number}"}
    return replace(told, body={**told.body, "type": type_, "data": data})
