"""Columns that many rows send once: whatever a run does, its rows say the same there.

Writing them would raise otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from loyalty.database.values import Row, as_arrays
from loyalty.engine import writing
from loyalty.engine.tables import EMPTY_LOT, KEY_ANSWER, LEDGER_TRANSACTION, LOT, OUTBOX_EVENT
from tests.factories import line, open_till, unique


def test_rows_of_one_run_say_the_same_where_it_is_sent_once(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()

    def watched(
        columns: Mapping[str, str], rows: Sequence[Row], shared: Collection[str]
    ) -> list[Any]:
        seen.update(shared)
        return as_arrays(columns, rows, shared)

    till = open_till()
    cards = [till.member(1_000) for _ in range(3)]
    monkeypatch.setattr(writing, "as_arrays", watched)
    orders = [(card, unique("o")) for card in cards]
    replies = till.send(
        *(till.enrolling(unique("c")) for _ in cards),
        *(till.earning(card, order, "20.00") for card, order in orders),
        *(till.redeeming(card, points=100) for card in cards),
        *(till.returning(order, "r") for _, order in orders),
        *(till.adjusting(card, -5) for card in cards),
        *(till.putting(card, unique("p"), 1, [line("1", "3.00")]) for card in cards),
        till.redeeming(cards[0], points=1_000_000),
    )
    assert [reply.status for reply in replies] == [201] * 18 + [409]
    tables = (KEY_ANSWER, LEDGER_TRANSACTION, LOT, OUTBOX_EVENT)
    assert seen >= {*EMPTY_LOT}.union(*(table.shared for table in tables))
