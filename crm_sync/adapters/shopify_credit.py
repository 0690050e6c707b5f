"""Rewards as store credit, given and taken back; Shopify books twice if it is asked twice.

So each booking is announced first, in a metafield of the customer that only changes if nobody else
has changed it meanwhile, together with the newest booking that was there. Whoever comes again reads
before they book: one of this amount that is newer is ours; several cannot be told apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import orjson

from crm_sync.adapters.client import CallFailed
from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Doubt, Outcome, Retryable
from crm_sync.adapters.shopify_documents import refusal

BOOK: Final = "store_credit"
ENTRIES_KEPT: Final = 100
IN_FLIGHT_SECONDS: Final = 60.0  # a call that was not answered is over by then
READ_COST: Final = 120
WRITE_COST: Final = 10
COST: Final = READ_COST + 3 * WRITE_COST
READ: Final = """
query Book($id: ID!, $namespace: String!, $key: String!) {
  customer(id: $id) {
    metafield(namespace: $namespace, key: $key) { value compareDigest }
    storeCreditAccounts(first: 3) {
      nodes {
        transactions(first: 25, reverse: true) {
          nodes {
            __typename
            ... on StoreCreditAccountCreditTransaction { id amount { amount currencyCode } }
            ... on StoreCreditAccountDebitTransaction { id amount { amount currencyCode } }
          }
          pageInfo { hasNextPage }
        }
      }
    }
  }
}"""
WRITE: Final = """
mutation Announce($entry: MetafieldsSetInput!) {
  metafieldsSet(metafields: [$entry]) {
    metafields { compareDigest }
    userErrors { code message }
  }
}"""
CREDIT: Final = """
mutation Credit($id: ID!, $money: StoreCreditAccountCreditInput!) {
  booked: storeCreditAccountCredit(id: $id, creditInput: $money) {
    storeCreditAccountTransaction { id }
    userErrors { code message }
  }
}"""
DEBIT: Final = """
mutation Debit($id: ID!, $money: StoreCreditAccountDebitInput!) {
  booked: storeCreditAccountDebit(id: $id, debitInput: $money) {
    storeCreditAccountTransaction { id }
    userErrors { code message }
  }
}"""
_KINDS: Final = {
    "StoreCreditAccountCreditTransaction": "credit",
    "StoreCreditAccountDebitTransaction": "debit",
}
_TELLS: Final = {"reward.ordered": "credit", "reward.cancelled": "debit"}

Ask = Callable[[str, Mapping[str, Any], int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement on a customer's account: 5.0 is as much as 5.00.

    Attributes:
        kind: credit or debit.
    """

    kind: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Account:
    """What is on the customer's accounts, the newest first in each.

    Attributes:
        booked: Pairs of id and booking, of each account.
        is_whole: Of each account: there are no older ones.
    """

    booked: Sequence[Sequence[tuple[str, Booking]]]
    is_whole: Sequence[bool]

    def newest(self) -> list[str]:
        """Give the newest booking of each account."""
        return [listed[0][0] for listed in self.booked if listed]

    def later_than(self, seen: Sequence[str]) -> list[tuple[str, Booking]] | None:
        """Give what was booked since those were the newest; None if it cannot be told."""
        later: list[tuple[str, Booking]] = []
        for listed, is_whole in zip(self.booked, self.is_whole, strict=True):
            ids = [id_ for id_, _ in listed]
            place = next((ids.index(one) for one in seen if one in ids), None)
            if place is None and not is_whole:
                return None
            later += listed[:place]
        return later


def booking_in(delivery: Outgoing) -> Booking | None:
    """Read what an event tells us to book, if it does."""
    gives = (delivery.body.get("data") or {}).get("gives") or {}
    kind = _TELLS.get(str(delivery.body.get("type")))
    if kind is None or "store_credit" not in gives:
        return None
    return Booking(kind, Decimal(str(gives["store_credit"])), str(gives["currency"]))


def book(ask: Ask, namespace: str, customer: str, delivery: Outgoing, wanted: Booking) -> Outcome:
    """Book once, however often this is called for the same event."""
    if delivery.is_backfill:
        notice = "Rewards of store credit in what is replayed or backfilled are not booked."
        return Delivered(notice=notice)
    found = ask(READ, {"id": customer, "namespace": namespace, "key": BOOK}, READ_COST)["customer"]
    if found is None:
        return refusal([{"message": "the customer is gone", "code": "NOT_FOUND"}])
    book_, account = _book_in(found), _account_in(found)
    redemption = str(delivery.body["data"].get("redemption") or "")
    settled = _settled(book_.get(delivery.event_id), book_, account, wanted)
    if settled is None and wanted.kind == "debit":
        settled = _not_given(redemption, book_, account, wanted)
    if settled is not None:
        return settled
    write = _Writer(ask, namespace, customer, (found["metafield"] or {}).get("compareDigest"))
    entry = {"kind": wanted.kind, "redemption": redemption, "after": account.newest()}
    refused = write.put(book_, delivery.event_id, entry)
    return refused or _book(ask, write, book_, delivery.event_id, customer, wanted, entry)


def _settled(
    entry: Mapping[str, Any] | None, book_: Mapping[str, Any], account: Account, wanted: Booking
) -> Outcome | None:
    """Say what came of an earlier attempt; None if nothing was booked."""
    if entry is None:
        return None
    if entry.get("booked"):
        return Delivered(answer=f"It was booked as {entry['booked']}.")
    mine = {other.get("booked") for other in book_.values()}
    later = account.later_than(entry["after"])
    fits = [id_ for id_, booking in later or [] if booking == wanted and id_ not in mine]
    if later is not None and not fits:
        return None
    if len(fits) == 1:
        return Delivered(answer=f"It was booked as {fits[0]}.")
    return Ambiguous(
        error="It may have been booked: see the customer's store credit before it is sent again.",
        reason=Doubt.MUST_NOT_REPEAT,
        candidates=tuple(fits),
    )


def _not_given(
    redemption: str, book_: Mapping[str, Any], account: Account, wanted: Booking
) -> Outcome | None:
    """Say why nothing is taken back; None if it was given, and is to be taken."""
    given = [
        entry
        for entry in book_.values()
        if entry.get("redemption") == redemption and entry.get("kind") == "credit"
    ]
    settled = _settled(given[0], book_, account, replace(wanted, kind="credit")) if given else None
    if settled is None:
        return Delivered(answer="Nothing was booked for this reward, so nothing is taken back.")
    return settled if isinstance(settled, Ambiguous) else None


class _Writer:
    """Writes the book, if nobody else has since it was read."""

    def __init__(self, ask: Ask, namespace: str, customer: str, digest: str | None) -> None:
        self._ask = ask
        self._place = {"ownerId": customer, "namespace": namespace, "key": BOOK, "type": "json"}
        self._digest = digest

    def put(self, book_: Mapping[str, Any], event_id: str, entry: Any) -> Outcome | None:
        """Write an entry; the outcome if it was refused."""
        kept = [item for item in book_.items() if item[0] != event_id][1 - ENTRIES_KEPT :]
        value = orjson.dumps({**dict(kept), event_id: entry}).decode()
        given = {"entry": {**self._place, "value": value, "compareDigest": self._digest}}
        found = self._ask(WRITE, given, WRITE_COST)["metafieldsSet"]
        if found["userErrors"]:
            return refusal(found["userErrors"])
        self._digest = found["metafields"][0]["compareDigest"]
        return None


def _book(
    ask: Ask,
    write: _Writer,
    book_: Mapping[str, Any],
    event_id: str,
    customer: str,
    wanted: Booking,
    entry: Mapping[str, Any],
) -> Outcome:
    money = {"amount": str(wanted.amount), "currencyCode": wanted.currency}
    document = CREDIT if wanted.kind == "credit" else DEBIT
    given = {"id": customer, "money": {f"{wanted.kind}Amount": money}}
    try:
        done = ask(document, given, WRITE_COST)["booked"]
    except CallFailed as failed:
        return _later(failed.outcome)
    if done["userErrors"]:
        return refusal(done["userErrors"])
    booked = str(done["storeCreditAccountTransaction"]["id"])
    try:
        write.put(book_, event_id, {**entry, "after": [], "booked": booked})
    except CallFailed:
        # It is booked all the same; whoever comes again finds it by its amount.
        return Delivered(answer=f"Booked as {booked}, which could not be noted.")
    return Delivered(answer=f"Booked as {booked}.")


def _later(outcome: Outcome) -> Outcome:
    """Give a call that was not answered the time to end before anybody looks for its credit."""
    if not isinstance(outcome, Retryable) or not outcome.may_have_arrived:
        return outcome
    seconds = max(outcome.retry_after or 0.0, IN_FLIGHT_SECONDS)
    return replace(outcome, retry_after=seconds, throttled=False)


def _book_in(customer: Mapping[str, Any]) -> dict[str, Any]:
    value = (customer["metafield"] or {}).get("value")
    return dict(orjson.loads(value)) if value else {}


def _account_in(customer: Mapping[str, Any]) -> Account:
    listed, is_whole = [], []
    for account in customer["storeCreditAccounts"]["nodes"]:
        nodes = account["transactions"]["nodes"]
        listed.append([(node["id"], _booking(node)) for node in nodes if node.get("id")])
        is_whole.append(not account["transactions"]["pageInfo"]["hasNextPage"])
    return Account(listed, is_whole)


def _booking(node: Mapping[str, Any]) -> Booking:
    amount = abs(Decimal(str(node["amount"]["amount"])))  # of a debit it may be below 0
    return Booking(_KINDS[node["__typename"]], amount, str(node["amount"]["currencyCode"]))
