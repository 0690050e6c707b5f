"""What the statement that locks does where PostgreSQL keeps one plan of it for all references."""

import threading

import pytest

from loyalty.engine.commands import REF, fill_questions
from loyalty.engine.load import LOCK
from tests.factories import connect, open_till, rows, unique


@pytest.mark.parametrize("kind", ["order", "card"])
def test_a_lock_that_waited_looks_again_at_its_own_reference_only(kind: str):
    """A row that was changed meanwhile makes PostgreSQL run every sub-select of a kept plan."""
    till = open_till()
    card, order = till.member(), unique("o")
    till.earn(card, order, "10.00")
    value = card if kind == "card" else f"store:309/{order}"
    lock = fill_questions(LOCK, tuple(REF.items()), single=True)
    with connect() as first, connect() as second:
        second.execute("SET plan_cache_mode = force_generic_plan")
        second.execute(f"PREPARE lock (bigint, text, text) AS {lock}".encode())
        change = "UPDATE loyalty_memberstate SET status = status WHERE member_id = %s"
        first.execute("BEGIN")
        first.execute(change, [till.ids[card]])
        found: list[object] = []

        def wait() -> None:
            locked = f"EXECUTE lock ({till.program.pk}, '{kind}', '{value}')"
            try:
                found.append(str(second.execute(locked.encode()).fetchone()))
            except Exception as error:
                found.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        pid = second.info.backend_pid
        while not rows("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", pid):
            assert waiting.is_alive()
        first.execute("COMMIT")
        waiting.join()
    assert len(found) == 1 and till.ids[card] in str(found[0])
