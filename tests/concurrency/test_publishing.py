"""Programs that change while tills earn."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from loyalty.engine.run import learn_version
from loyalty.http.ids import encode_id
from loyalty.programs.models import PublishedVersion
from loyalty.programs.services import apply_document
from tests.concurrency.test_over_http import Shop, eventually
from tests.concurrency.tills import at_once, statuses
from tests.factories import Reply, open_till, rows, unique
from tests.stack import Stack, WebNode


def test_scenario_54_a_rule_changes_under_load_and_each_award_names_its_version():
    """Each version gives as many points as its rule says; some nodes learn of one late."""
    till = open_till(earning_rules=[{"code": "base", "points": 1, "per": "1.00"}])
    cards = [till.member() for _ in range(8)]

    def sell(card: str) -> Callable[[], Reply]:
        return lambda: till.earn(card, unique("o"), "10.00")

    def publish(points: int) -> Callable[[], None]:
        def change() -> None:
            rules = [{"code": "base", "points": points, "per": "1.00"}]
            program = apply_document({**till.document, "earning_rules": rules}, actor="tests")
            learn_version(program.pk, program.version - 1)  # as a node that has not heard of it

        return change

    things: list[Callable[[], Any]] = [sell(card) for card in cards * 8]
    for number, place in enumerate(range(8, 64, 12), 2):
        things.insert(place, publish(number))
    replies = [reply for reply in at_once(things, tills=6) if reply is not None]
    replies.append(till.earn(cards[0], unique("o"), "10.00"))
    assert statuses(replies) == {201: 65}
    gives = {
        version.version: version.document["earning_rules"][0]["points"]
        for version in PublishedVersion.objects.filter(program=till.program)
    }
    found = rows("SELECT program_version, points FROM loyalty_ledgertransaction"
                 " WHERE program_id = %s AND kind = 'earn'", till.program.pk)  # fmt: skip
    assert len(gives) == 6 and len(found) == 65
    assert [points for _, points in found] == [10 * gives[version] for version, _ in found]
    assert {1, 6} <= {version for version, _ in found}


@dataclass
class Sale:
    """What a till was answered, and which versions were live before it asked and afterwards."""

    silver: bool
    oldest: int
    status: int
    points: int
    id: str
    newest: int


@dataclass
class Street:
    """Tills of one shop, each of which goes to the other node where one does not answer."""

    shop: Shop
    nodes: list[WebNode]
    versions: list[tuple[int, int]]
    sales: list[Sale] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def sell(self, card: str, *, silver: bool) -> None:
        turn = 0
        while not self.closed.is_set():
            key, body, oldest = unique("k"), self.shop.order(card, unique("o")), len(self.versions)
            answer = None
            while answer is None:
                turn += 1
                try:
                    node = self.nodes[turn % len(self.nodes)]
                    answer = self.shop.post("/v1/earn", body, key=key, node=node)
                except httpx.HTTPError:  # it is being restarted: the same key to the other one
                    continue
            told, newest = answer.json(), len(self.versions) + 1
            said = (told.get("points", -1), told.get("id", ""))
            self.sales.append(Sale(silver, oldest, answer.status_code, *said, newest))

    def goes_on(self) -> None:
        before = len(self.sales)
        eventually(lambda: len(self.sales) >= before + 8, seconds=120)

    def publish(self, points: int, multiplier: int) -> None:
        """Change a rule and a level over HTTP, at any node, and publish both."""
        changes = {
            "/v1/earning-rules/base": {"points": points},
            "/v1/tiers/silver": {"earn_multiplier": str(multiplier)},
        }
        with self.shop.stack.client(self.shop.key, self.nodes[points % len(self.nodes)]) as client:
            for path, change in changes.items():
                assert client.patch(path, json=change).status_code == 200
            headers = {"Idempotency-Key": unique("k")}
            body = {"reason": "Prices change"}
            told = client.post("/v1/program/publish", json=body, headers=headers)
            assert (told.status_code, told.json()["version"]) == (200, len(self.versions) + 1)
        self.versions.append((points, multiplier))


def test_scenario_54_rules_and_levels_change_under_load_while_a_node_is_restarted(
    live_stack: Stack,
):
    """Four processes of two nodes: no error, and each award is what its version says.

    Who asks after a version was published is served by it, whichever process they ask.
    """
    levels = [{"code": "bronze", "from": "0"}, {"code": "silver", "from": "9999.00"}]
    levels[1]["earn_multiplier"] = "2"
    shop = Shop(live_stack, tiers={"qualify_by": "spend", "levels": levels})
    street = Street(shop, [live_stack.web, live_stack.add_web()], versions=[(1, 2)])
    cards = {shop.member(): silver for silver in (False, False, True, True)}
    for card in (card for card, silver in cards.items() if silver):
        assert shop.post("/v1/earn", shop.order(card, unique("o"), "9999.00")).status_code == 201
    with ThreadPoolExecutor(len(cards)) as pool:
        tills = [pool.submit(street.sell, card, silver=who) for card, who in cards.items()]
        try:
            street.goes_on()
            street.publish(2, 3)
            street.goes_on()
            street.publish(3, 1)
            live_stack.web.restart()
            street.publish(4, 2)
            street.goes_on()
        finally:
            street.closed.set()
        assert [till.result(60) for till in tills] == [None] * len(cards)
    shop.close()
    found = decided_under(shop)
    assert {sale.status for sale in street.sales} == {201}
    assert len(found) == len({sale.id for sale in street.sales}) == len(street.sales)
    for sale in street.sales:
        version = found[sale.id]
        assert sale.oldest <= version <= sale.newest
        points, multiplier = street.versions[version - 1]
        assert sale.points == 10 * points * (multiplier if sale.silver else 1)
    assert set(found.values()) == {1, 2, 3, 4}
    shop.proved()


def decided_under(shop: Shop) -> dict[str, int]:
    """List the version of each award for 10.00, by the award's public id."""
    query = (
        "SELECT t.member_id, t.number, t.program_version FROM loyalty_ledgertransaction AS t"
        " JOIN loyalty_order AS o ON o.member_id = t.member_id AND o.number = t.order_number"
        " WHERE t.program_id = %s AND t.kind = 'earn' AND o.net_amount = 1000"
    )
    found = shop.stack.sql(query, shop.program_id)
    return {encode_id("txn", member, number): version for member, number, version in found}
