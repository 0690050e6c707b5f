"""A connection to our sandbox of Salesforce, and people to send there, for its tests."""

from typing import Any
from uuid import UUID, uuid4

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Person, Profile
from crm_sync.adapters.salesforce_settings import AUDIENCE, VERSION
from crm_sync.sandboxes.salesforce import Salesforce
from tests.integration.crm_sync.calls import target
from tests.integration.crm_sync.klaviyo_calls import ADA

KINDS = [("contact", "Contact"), ("lead", "Lead"), ("person_account", "Account")]
BALANCE = "Loyalty_Points_Balance__c"


def connect(sandbox: Salesforce, **config: str) -> Target:
    settings = {
        "address": sandbox.url,
        "client_id": sandbox.client_id,
        "username": "",
        "audience": AUDIENCE,
        "object": "contact",
        "record_type": "",
        "external_id_field": "Shop_Customer_Id__c",
        "events": "records",
        "campaigns": "no",
        "calls_per_day": "50000",
        "api_version": VERSION,
    }
    return target({**settings, **config}, secret=sandbox.client_secret)


def event_ids(sandbox: Salesforce, member_id: str) -> list[str]:
    """List the events of a member, whatever members are there."""
    people = [
        one
        for sobject in ("Contact", "Lead", "Account")
        for one in sandbox.store.alive(sobject)
        if one["Loyalty_Member_Id__c"] == member_id
    ]
    return [event["Event_Id__c"] for one in people for event in sandbox.events_of(one)]


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"Loyalty_Member_Id__c": person.member_id, BALANCE: 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def person(number: int, **more: Any) -> Person:
    return Person(member_id=str(UUID(int=number)), **more)


def the_only(salesforce: Salesforce, sobject: str = "Contact") -> dict[str, Any]:
    (found,) = salesforce.store.alive(sobject)
    return found
