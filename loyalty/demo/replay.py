"""Send receipts through several tills at once, each household at one till, in order."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from loyalty.demo.market import Market
from loyalty.demo.receipts import Receipt
from loyalty.demo.shoppers import Manner, Shopper, Wish, brings_back
from loyalty.demo.tally import Tally
from loyalty.demo.till import Till

# So many households are asked whether an earlier replay has them.
PROBES = 20
RETURN_AFTER = timedelta(minutes=2)


def days_of_earlier_replay(till: Till, receipts: Sequence[Receipt], market: Market) -> int | None:
    """Find by how many days an earlier replay moved these receipts, so that a second one agrees.

    Returns:
        None where none of the first households has a receipt of this file.
    """
    firsts: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        if receipt.household in firsts or len(firsts) < PROBES:
            firsts.setdefault(receipt.household, []).append(receipt)
    for household, bought in firsts.items():
        known = {receipt.basket: receipt.purchased_at.date() for receipt in bought}
        for item in _statement(till, household):
            was = known.get(item["source_ref"]) if item["kind"] == "earn" else None
            if was is not None:
                at = datetime.fromisoformat(item["occurred_at"]).astimezone(market.timezone)
                return (at.date() - was).days
    return None


def _statement(till: Till, household: str) -> list[dict[str, Any]]:
    """Read the newest entries of a member's statement; none where nobody has the card."""
    items: list[dict[str, Any]] = till.get(
        f"/v1/members/card:{household}/ledger", limit=200
    ).body.get("items", [])
    return items


def replay(
    receipts: Sequence[Receipt],
    *,
    market: Market,
    open_till: Callable[[], Till],
    tills: int,
    progress: Callable[[], object],
) -> Tally:
    """Send all receipts, and what their shoppers do then; give the count of what happened.

    Args:
        open_till: Opens one connection.
        progress: Called after each receipt.

    Raises:
        ServerGone: The engine does not answer.
    """
    stop = Event()
    total = Tally()

    def serve(queue: Sequence[Receipt]) -> Tally:
        till = open_till()
        try:
            return Queue(till, market).serve(queue, stop=stop, progress=progress)
        except BaseException:
            stop.set()
            raise
        finally:
            till.close()

    with ThreadPoolExecutor(max_workers=tills) as threads:
        futures = [threads.submit(serve, queue) for queue in share_out(receipts, tills)]
        try:
            for future in futures:
                total.add(future.result())
        except BaseException:
            stop.set()
            raise
    return total


def share_out(receipts: Sequence[Receipt], tills: int) -> list[list[Receipt]]:
    """Give each till about as many receipts, and all of a household's to one till."""
    queues: list[list[Receipt]] = [[] for _ in range(tills)]
    load = [0] * tills
    till_of: dict[str, int] = {}
    for household, count in Counter(each.household for each in receipts).most_common():
        till_of[household] = load.index(min(load))
        load[till_of[household]] += count
    for receipt in receipts:
        queues[till_of[receipt.household]].append(receipt)
    return queues


class Queue:
    """The shoppers of one till."""

    def __init__(self, till: Till, market: Market) -> None:
        self.till = till
        self.tally = till.tally
        self.market = market
        self.shoppers: dict[str, Shopper] = {}

    def serve(
        self, queue: Sequence[Receipt], *, stop: Event, progress: Callable[[], object]
    ) -> Tally:
        """Serve everybody in their order, until done or until another till gives up."""
        for receipt in queue:
            if stop.is_set():
                break
            self.sell(receipt)
            progress()
        return self.tally

    def sell(self, receipt: Receipt) -> None:
        """Record a receipt; a new one lets its shopper redeem, or bring something back."""
        if not self.market.enrols:
            self._enrol(receipt.household)
        body = {"member": f"card:{receipt.household}", "order": self._order(receipt)}
        reply = self.till.post("/v1/earn", body, key=f"receipt-{receipt.basket}")
        if reply.is_refusal:
            return
        self.tally.members.add(receipt.household)
        if reply.body["tier"]:
            self.tally.levels[receipt.household] = reply.body["tier"]["code"]
        if reply.status == 200:
            # Recorded before, under another key: what the shopper did then is done as well.
            self.tally.known += 1
            return
        self.tally.orders += 1
        self.tally.lines += len(receipt.lines)
        self.tally.points += reply.body["points"]
        wish = self._shopper(receipt).wish(receipt.basket, reply.body["balance"]["available"])
        if wish is not None:
            self._redeem(receipt, wish)
        if brings_back(receipt.basket):
            self._return(receipt)

    def _shopper(self, receipt: Receipt) -> Shopper:
        shopper = self.shoppers.get(receipt.household)
        if shopper is None:
            shopper = Shopper(receipt.household, self.market.rewards)
            self.shoppers[receipt.household] = shopper
        return shopper

    def _enrol(self, household: str) -> None:
        """Enrol a card once; one that is known already is just as good."""
        if household in self.tally.members:
            return
        body = {"identifiers": [{"type": "card", "value": household}]}
        reply = self.till.post("/v1/members", body, key=f"member-{household}")
        if reply.code == "identifier_taken":
            self.tally.refused -= Counter([reply.code])
        if not reply.is_refusal or reply.code == "identifier_taken":
            self.tally.members.add(household)

    def _moved(self, receipt: Receipt) -> datetime:
        moved = receipt.purchased_at + timedelta(days=self.market.days)
        return moved.replace(tzinfo=self.market.timezone)

    def _order(self, receipt: Receipt) -> dict[str, Any]:
        return {
            "ref": receipt.basket,
            "store": receipt.store,
            "channel": "pos",
            "occurred_at": self._moved(receipt).isoformat(),
            "currency": self.market.currency,
            "lines": receipt.lines,
        }

    def _redeem(self, receipt: Receipt, wish: Wish) -> None:
        held = wish.manner in (Manner.CAPTURE, Manner.VOID)
        body = {
            "member": f"card:{receipt.household}",
            "reward": wish.reward,
            "capture": not held,
            "ref": receipt.basket,
            "order_ref": receipt.basket,
            "store": receipt.store,
        }
        reply = self.till.post("/v1/redeem", body, key=f"redeem-{receipt.basket}")
        if reply.is_refusal:
            return
        self.tally.redeemed[wish.reward] += 1
        settling = {
            Manner.CAPTURE: ("capture", {}),
            Manner.VOID: ("void", {}),
            Manner.REVERSE: ("reverse", {"reason": "the shopper did not want it after all"}),
        }
        if wish.manner in settling:
            action, said = settling[wish.manner]
            path = f"/v1/redemptions/{reply.body['id']}/{action}"
            reply = self.till.post(path, said, key=f"{action}-{receipt.basket}")
        if not reply.is_refusal:
            self.tally.settled[wish.manner.value] += 1

    def _return(self, receipt: Receipt) -> None:
        """Bring the first line back of which there is something."""
        lines = [line for line in receipt.lines if line["quantity"] != "0"]
        if not lines:
            return
        at = self._moved(receipt) + RETURN_AFTER
        body = {
            "ref": f"R-{receipt.basket}",
            "occurred_at": at.isoformat(),
            "lines": [{"line": lines[0]["line"], "quantity": lines[0]["quantity"]}],
        }
        path = f"/v1/orders/{receipt.basket}/returns"
        reply = self.till.post(path, body, key=f"return-{receipt.basket}", store=receipt.store)
        if not reply.is_refusal:
            self.tally.returns += 1
            self.tally.clawed_back += reply.body["clawed_back"]
