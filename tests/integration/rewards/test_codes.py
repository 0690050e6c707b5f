"""Codes of pools: loaded, handed out once each, given back or burnt, and unreadable at rest."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from loyalty.rewards.pools import count_codes, find_code, load_codes
from tests.factories import Clock, Till, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of
from tests.integration.rewards.catalogue import events, reward


def cinema(*codes: str, **gives: str) -> Till:
    """Open a till of a program with a reward that gives codes."""
    till = open_till(rewards=[reward({"code_from_pool": "cinema", **gives}, cost=10)])
    for _ in load_codes(till.program.pk, "cinema", codes):
        pass
    return till


def counts(till: Till) -> dict[str, int]:
    return {s: n for s, n in count_codes(till.program.pk, "cinema").items() if n}


def test_each_member_gets_another_code():
    till = cinema("A-1", "B-2,2099-12-31")
    anna, ben = till.member(20), till.member(20)
    first, second = till.redeem(anna, reward="it"), till.redeem(ben, reward="it")
    assert first.gives == {"code_from_pool": "cinema", "code": "A-1"}
    assert second.gives == {"code_from_pool": "cinema", "code": "B-2", "valid_until": "2099-12-31"}
    assert till.redeem(anna, reward="it").code == "reward_sold_out"
    assert counts(till) == {"given": 2}


def test_codes_past_their_last_day_are_not_handed_out(clock: Clock):
    till = cinema("OLD,2027-01-14", "LAST,2027-01-15")
    took = till.redeem(till.member(20), reward="it")
    assert took.gives["code"] == "LAST"
    assert till.redeem(till.member(20), reward="it").code == "reward_sold_out"


def test_a_hold_shows_no_code_and_gives_it_back_when_it_is_let_go(clock: Clock):
    till = cinema("A-1")
    anna = till.member(20)
    hold = till.redeem(anna, reward="it", capture=False)
    assert hold.gives == {"code_from_pool": "cinema"}
    assert till.redeem(anna, reward="it").code == "reward_sold_out"
    till.void(hold.id)
    assert counts(till) == {"free": 1}
    till.redeem(anna, reward="it", capture=False)
    clock.move(timedelta(minutes=31))
    till.earn(anna, unique("o"), "1.00")  # whatever comes next finds that it has lapsed
    assert counts(till) == {"free": 1}
    again = till.redeem(anna, reward="it", capture=False)
    assert till.capture(again.id).gives["code"] == "A-1"
    assert counts(till) == {"given": 1}


@pytest.mark.parametrize(("returned", "after"), [("burn", "burnt"), ("reuse", "free")])
def test_a_reversal_burns_the_code_or_gives_it_to_the_next(returned: str, after: str):
    till = cinema("A-1", returned=returned)
    took = till.redeem(till.member(20), reward="it")
    till.reverse(took.id, 4)
    assert counts(till) == {"given": 1}
    till.reverse(took.id)
    assert counts(till) == {after: 1}
    assert till.reverse(took.id).code == "already_reversed"
    assert counts(till) == {after: 1}
    again = till.redeem(till.member(20), reward="it")
    assert again.status == (201 if returned == "reuse" else 409)


def test_a_code_shown_once_is_in_the_answer_and_its_repeats_and_nowhere_else():
    till = cinema("SECRET-77", shown="once")
    api, card = Caller(till.program.pk), till.member(20)
    body = {"member": f"card:{card}", "reward": "it"}
    first = api.post("/v1/redeem", body, key="k")
    assert body_of(first)["gives"] == {
        "code_from_pool": "cinema", "code_hint": "…T-77", "code": "SECRET-77"
    }  # fmt: skip
    again = api.post("/v1/redeem", body, key="k")
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    shown = body_of(api.get(f"/v1/redemptions/{body_of(first)['id']}"))["gives"]
    assert "code" not in shown
    tables = [row[0] for row in rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    found = [
        name for name in tables
        if rows(f"SELECT 1 FROM {name} AS t WHERE t::text LIKE '%%SECRET-77%%' LIMIT 1")
    ]  # fmt: skip
    assert found == []
    code = find_code(till.program.pk, "cinema", "SECRET-77")
    assert code is not None and (code.state, code.sealed) == ("given", "")


def test_a_hold_of_a_code_shown_once_shows_it_at_its_capture_and_in_a_batch():
    till = cinema("SECRET-77", "SECRET-78", shown="once")
    api, card = Caller(till.program.pk), till.member(20)
    body = {"member": f"card:{card}", "reward": "it"}
    hold = body_of(api.post("/v1/redeem", {**body, "capture": False}))
    assert hold["gives"] == {"code_from_pool": "cinema"}
    taken = body_of(api.post(f"/v1/redemptions/{hold['id']}/capture", {}))
    assert taken["gives"]["code"] == "SECRET-77"
    batch = {"commands": [{"idempotency_key": unique("k"), "redeem": body}]}
    results = body_of(api.post("/v1/batch", batch, key=None))["results"]
    assert results[0]["body"]["gives"]["code"] == "SECRET-78"


def test_a_batch_gives_each_command_a_code_of_its_own():
    till = cinema(*(f"C-{n}" for n in range(5)))
    cards = [till.member(20) for _ in range(6)]
    replies = till.send(*(till.redeeming(card, reward="it") for card in cards))
    given = [reply.gives["code"] for reply in replies if reply.status == 201]
    assert sorted(given) == [f"C-{n}" for n in range(5)]
    assert [reply.status for reply in replies].count(409) == 1


def test_a_low_pool_is_told_once_and_again_after_a_refill():
    till = cinema(*(f"C-{n}" for n in range(12)))
    anna = till.member(1000)
    for _ in range(12):
        till.redeem(anna, reward="it")
    assert [low["left"] for low in events(till, anna, "reward.stock_low")] == [10, 0]
    for _ in load_codes(till.program.pk, "cinema", ["D-1", "D-2"]):
        pass
    for _ in range(2):
        till.redeem(anna, reward="it")
    assert [low["left"] for low in events(till, anna, "reward.stock_low")] == [10, 0, 0]


def test_the_list_of_rewards_counts_the_codes():
    till = cinema("A-1")
    api, card = Caller(till.program.pk), till.member(20)
    path = f"/v1/members/card:{card}/rewards"
    [item] = body_of(api.get(path))["items"]
    assert (item["available"], item["remaining"]) == (True, 1)
    till.redeem(card, reward="it")
    [item] = body_of(api.get(path))["items"]
    assert [reason["code"] for reason in item["reasons"]] == ["sold_out"]


def test_loading_reports_what_it_knew_and_what_is_no_code(tmp_path: Path):
    till = cinema("A-1")
    file = tmp_path / "codes.csv"
    file.write_text("code,valid_until\nA-1\nB-2\nB-2,2099-01-01\n\nC 3\nD-4,soon\nE-5,2099-01-01\n")
    out = StringIO()
    with pytest.raises(CommandError, match="line 6: a code has 1 to 100 characters"):
        call_command("codes", "load", "cinema", str(file), program=till.program.code, stdout=out)
    assert out.getvalue() == "cinema: 2 codes added, 2 known already, 2 lines are no codes.\n"
    assert counts(till) == {"free": 3}
    out = StringIO()
    call_command("codes", "find", "cinema", "B-2", program=till.program.code, stdout=out)
    call_command("codes", "show", "cinema", program=till.program.code, stdout=out)
    assert out.getvalue() == "free\n3 free, 0 held, 0 given, 0 burnt\n"


def test_chunks_add_up():
    till = cinema()
    codes = [f"C-{n % 7000}" for n in range(12_000)]
    *_, told = load_codes(till.program.pk, "cinema", codes)
    assert (told.lines, told.added, told.known, told.wrong) == (12_000, 7_000, 5_000, 0)


def test_a_batch_that_wants_more_codes_than_there_are_is_refused_the_last():
    """More than are counted for a notice, and one who cannot pay leaves theirs to the others."""
    till = cinema(*(f"C-{n}" for n in range(30)))
    cards = [till.member(20 if n != 3 else 0) for n in range(34)]
    replies = till.send(*(till.redeeming(card, reward="it") for card in cards))
    given = [reply.gives["code"] for reply in replies if reply.status == 201]
    assert sorted(given) == sorted(f"C-{n}" for n in range(30))
    assert [reply.code for reply in replies if reply.status != 201] == [
        "insufficient_points", *["reward_sold_out"] * 3
    ]  # fmt: skip
