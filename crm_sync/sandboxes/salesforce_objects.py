"""The objects of Salesforce's sandbox: which fields they have, and what a field takes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from crm_sync.sandboxes.soql import comparable, parse

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SYSTEM = {"SystemModstamp": "datetime", "IsDeleted": "checkbox", "MasterRecordId": "text 18"}
_LOYALTY = {
    "Loyalty_Member_Id__c": "external",
    "Loyalty_Program__c": "text 80",
    "Loyalty_Status__c": "text 20",
    "Loyalty_Enrolled_At__c": "datetime",
    "Loyalty_Tier__c": "text 80",
    "Loyalty_Tier_Since__c": "datetime",
    "Loyalty_Points_Balance__c": "number",
    "Loyalty_Points_Pending__c": "number",
    "Loyalty_Lifetime_Points__c": "number",
    "Loyalty_Points_Expiring__c": "number",
    "Loyalty_Points_Expire_On__c": "date",
    "Loyalty_Last_Redemption__c": "datetime",
    "Loyalty_Referral_Code__c": "text 20",
    "Loyalty_State_Version__c": "number",
    "Loyalty_Last_Event__c": "text 80",
    "Loyalty_Last_Event_At__c": "datetime",
    "Shop_Customer_Id__c": "text 80",
}
_NAME = {"FirstName": "text 40", "LastName": "text 80", "MobilePhone": "text 40"}
OBJECTS: Final[dict[str, dict[str, str]]] = {
    "Contact": {
        **_SYSTEM,
        **_LOYALTY,
        **_NAME,
        "Email": "email",
        "HasOptedOutOfEmail": "checkbox",
        "Shoe_Size__c": "number",
        "AccountId": "lookup",
    },
    "Lead": {
        **_SYSTEM,
        **_LOYALTY,
        **_NAME,
        "Email": "email",
        "Company": "text 255",
        "HasOptedOutOfEmail": "checkbox",
        "IsConverted": "checkbox",
    },
    "Account": {
        **_SYSTEM,
        **_LOYALTY,
        "FirstName": "text 40",
        "LastName": "text 80",
        "PersonMobilePhone": "text 40",
        "PersonEmail": "email",
        "PersonHasOptedOutOfEmail": "checkbox",
        "IsPersonAccount": "checkbox",
        "RecordTypeId": "text 18",
    },
    "Loyalty_Event__c": {
        **_SYSTEM,
        "Event_Id__c": "external",
        "Type__c": "text 80",
        "Occurred_At__c": "datetime",
        "Sequence__c": "number",
        "Points__c": "number",
        "Points_Available__c": "number",
        "Order__c": "text 100",
        "Details__c": "text 32768",
        "Is_Backfill__c": "checkbox",
        "Contact__c": "lookup",
        "Lead__c": "lookup",
        "Account__c": "lookup",
    },
}
OBJECTS["Campaign"] = {**_SYSTEM, "Name": "text 80"}
OBJECTS["CampaignMember"] = {
    **_SYSTEM,
    **dict.fromkeys(("CampaignId", "ContactId", "LeadId"), "lookup"),
}
_PREFIX = {
    "Contact": "003",
    "Lead": "00Q",
    "Account": "001",
    "Campaign": "701",
    "CampaignMember": "00v",
    "Loyalty_Event__c": "a00",
}
_NEEDED = {"Contact": ["LastName"], "Lead": ["LastName", "Company"], "Account": ["LastName"]}
_READ_ONLY = {*_SYSTEM, "IsConverted", "IsPersonAccount"}


class Refused(Exception):
    """An error in Salesforce's words."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


class Store:
    """The records.

    Attributes:
        touched: The id of the record that was written last.
        locked: Ids, or values of external ids, that somebody else is saving just now.
        removed: Objects that the organisation does not have.
    """

    def __init__(self) -> None:
        self.touched = ""
        self.locked: set[str] = set()
        self.removed: set[str] = set()
        self._records: dict[str, dict[str, Any]] = {}
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def alive(self, sobject: str) -> list[dict[str, Any]]:
        """List the records of an object that are not deleted."""
        return [one for one in self._of(sobject) if not one["IsDeleted"]]

    def add(self, sobject: str, **values: Any) -> dict[str, Any]:
        """Make a record that was there before us, whatever is in it."""
        record_id = f"{_PREFIX[sobject]}{len(self._records):012d}AAA"
        blank = {name: False if kind == "checkbox" else None for name, kind in _of(sobject).items()}
        defaults = {"LastName": "Doe"} if "LastName" in blank else {}
        if sobject == "Account":
            blank["IsPersonAccount"] = True
        record = {"Id": record_id, **blank, **defaults, **values}
        self._records[record_id] = record
        self._touch(record)
        return record

    def copy(self) -> dict[str, dict[str, Any]]:
        """Give all that there is, to be put back."""
        return {record_id: dict(record) for record_id, record in self._records.items()}

    def put_back(self, records: dict[str, dict[str, Any]]) -> None:
        """Undo all that was done since these were copied."""
        self._records = records

    def merge(self, losing: str, winning: str) -> None:
        """Merge a record into another one, as people do there."""
        self._records[losing] |= {"IsDeleted": True, "MasterRecordId": winning}

    def change(self, record_id: str, **values: Any) -> None:
        """Change a record, as people do there."""
        self._records[record_id] |= values
        self._touch(self._records[record_id])

    def get(self, sobject: str, record_id: str) -> dict[str, Any]:
        """Give a record by its id."""
        found = self._records.get(record_id)
        if found is None or found not in self._of(sobject):
            raise Refused("NOT_FOUND", "The requested resource does not exist", 404)
        if found["IsDeleted"]:
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", 404)
        return found

    def find(self, sobject: str, name: str, value: str) -> list[dict[str, Any]]:
        """Find records by an external id."""
        if _of(sobject).get(name) != "external":
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise Refused("NOT_FOUND", message, 404)
        return [one for one in self.alive(sobject) if comparable(one[name]) == comparable(value)]

    def insert(self, sobject: str, values: Mapping[str, Any]) -> str:
        """Make a record."""
        for name in _NEEDED.get(sobject, []):
            if not values.get(name):
                message = f"Required fields are missing: [{name}]"
                raise Refused("REQUIRED_FIELD_MISSING", message)
        checked = self._checked(sobject, values)
        return str(self.add(sobject, **checked)["Id"])

    def update(self, sobject: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a record."""
        record = self.get(sobject, record_id)
        if record_id in self.locked:
            raise Refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        if record.get("IsConverted"):
            raise Refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        record |= self._checked(sobject, values, record)
        self._touch(record)

    def upsert(self, sobject: str, name: str, value: Any, values: Mapping[str, Any]) -> bool:
        """Make or change the record with an external id; True if it was made."""
        found = self.find(sobject, name, value)
        if not value:
            raise Refused("MISSING_ARGUMENT", f"{name} not specified")
        if value in self.locked:
            raise Refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        if found:
            self.update(sobject, found[0]["Id"], values)
            return False
        self.insert(sobject, {**values, name: value})
        return True

    def select(self, text: str, *, with_deleted: bool = False) -> list[dict[str, Any]]:
        """Answer a query."""
        query = parse(text)
        known = {"Id", *self._fields(query.sobject)}
        for name in {name for name in query.names if "." not in name} - known:
            message = f"No such column '{name}' on entity '{query.sobject}'."
            raise Refused("INVALID_FIELD", message)
        there = self._of(query.sobject) if with_deleted else self.alive(query.sobject)
        wide = [{name: self._value(one, name) for name in query.names} for one in there]
        found = [one for one in wide if query.condition(one)]
        if query.order:
            found.sort(key=lambda one: [comparable(one[name]) for name in query.order])
        return [_row(query.sobject, query.columns, one) for one in found[: query.limit]]

    def remove(self, record_id: str) -> None:
        """Delete a record, as people do there."""
        self.change(record_id, IsDeleted=True)

    def _value(self, record: Mapping[str, Any], name: str) -> Any:
        """Read a value, also of a record that this one points to: Campaign.Name."""
        relation, _, rest = name.partition(".")
        if not rest:
            return record[name]
        other = self._records.get(record.get(f"{relation}Id") or "")
        return self._value(other, rest) if other else None

    def check_names(self, record: Mapping[str, Any]) -> None:
        """Refuse names that an object does not have."""
        sobject = str(record["attributes"]["type"])
        for name in set(record) - {"attributes", "id", "Id", *self._fields(sobject)}:
            message = f"No such column '{name}' on sobject of type {sobject}"
            raise Refused("INVALID_FIELD", message)

    def _fields(self, sobject: str) -> dict[str, str]:
        if sobject in self.removed or sobject not in OBJECTS:
            raise Refused("INVALID_TYPE", f"sObject type '{sobject}' is not supported.")
        return OBJECTS[sobject]

    def _of(self, sobject: str) -> list[dict[str, Any]]:
        prefix = _PREFIX.get(sobject, "-")
        return [one for one in self._records.values() if one["Id"].startswith(prefix)]

    def _checked(
        self, sobject: str, values: Mapping[str, Any], record: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        for name, value in values.items():
            kind = self._fields(sobject)[name]
            if name in _READ_ONLY:
                message = f"Unable to create/update fields: {name}."
                raise Refused("INVALID_FIELD_FOR_INSERT_UPDATE", message)
            if value is not None:
                _check(name, kind, value)
            if kind == "external" and value:
                self._check_unique(sobject, name, value, record)
            if kind == "lookup" and value:
                self._check_lookup(value)
        return dict(values)

    def _check_unique(
        self, sobject: str, name: str, value: Any, record: Mapping[str, Any] | None
    ) -> None:
        for other in self.find(sobject, name, value):
            if other is not record:
                message = f"duplicate value found: {name} duplicates value on record with id: "
                raise Refused("DUPLICATE_VALUE", message + other["Id"])

    def _check_lookup(self, record_id: str) -> None:
        found = self._records.get(record_id)
        if found is None:
            raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if found["IsDeleted"]:
            raise Refused("ENTITY_IS_DELETED", "entity is deleted")

    def _touch(self, record: dict[str, Any]) -> None:
        self._clock += timedelta(seconds=1)
        record["SystemModstamp"] = self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.touched = str(record["Id"])


def _of(sobject: str) -> dict[str, str]:
    return OBJECTS.get(sobject, {})


def _check(name: str, kind: str, value: Any) -> None:
    """Refuse a value that a field does not take."""
    shape, _, length = kind.partition(" ")
    if shape == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of double: {name}")
    if shape == "checkbox" and not isinstance(value, bool):
        raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of boolean: {name}")
    if shape in ("text", "email", "external") and not isinstance(value, str):
        raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of string: {name}")
    if shape == "email" and not _EMAIL.fullmatch(value):
        raise Refused("INVALID_EMAIL_ADDRESS", f"{name}: invalid email address: {value}")
    if shape in ("date", "datetime") and not re.match(r"\d{4}-\d\d-\d\d", str(value)):
        raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of {shape}: {name}")
    if length and len(value) > int(length):
        raise Refused("STRING_TOO_LONG", f"{name}: data value too large: (max length={length})")


def _row(sobject: str, columns: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Show a record, with what is of others inside of it."""
    row: dict[str, Any] = {"attributes": {"type": sobject}}
    for name in columns:
        *relations, last = name.split(".")
        inner = row
        for relation in relations:
            inner = inner.setdefault(relation, {"attributes": {"type": relation}})
        inner[last] = _shown(values[name])
    return row


def _shown(value: Any) -> Any:
    """Show a value as Salesforce does: numbers with a fraction, moments with milliseconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        return value.replace("Z", ".000+0000")
    return value


def from_csv(sobject: str, row: Mapping[str, str]) -> dict[str, Any]:
    """Read a row: an empty cell leaves the field, #N/A clears it."""
    found: dict[str, Any] = {}
    for name, text in row.items():
        kind = _of(sobject).get(name, "text")
        if text == "#N/A":
            found[name] = None
        elif text and kind == "number":
            found[name] = float(text)
        elif text and kind == "checkbox":
            found[name] = text == "true"
        elif text:
            found[name] = text
    return found
