"""Programs that change while tills earn."""

from collections.abc import Callable
from typing import Any

from loyalty.engine.run import learn_version
from loyalty.programs.models import PublishedVersion
from loyalty.programs.services import apply_document
from tests.concurrency.tills import at_once, statuses
from tests.factories import Reply, open_till, rows, unique


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
