"""Backtests worked out by hand, and what becomes of one that is cancelled, killed or refused."""

import csv
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from loyalty.errors import ValidationFailed
from loyalty.members.identifiers import MemberRef
from loyalty.members.merging import MERGE
from loyalty.members.schemas import MergeMembers, MergeRequest
from loyalty.programs.document import validate
from loyalty.programs.models import Program
from loyalty.programs.selectors import published_program
from loyalty.trials import services
from loyalty.trials.candidates import candidate, draft_of, version_of
from loyalty.trials.evaluation import evaluate
from loyalty.trials.models import Backtest
from loyalty.trials.report import csv_text, levels_of
from tests.factories import Till, balance_of, database_time, open_till, rows

PLAIN = [{"code": "base", "points": 1, "per": "1.00"}]


@pytest.fixture
def till() -> Till:
    """Return a till of a program of the test's own: 1 point per dollar, silver from 250."""
    return open_till(earning_rules=PLAIN)


def tried(till: Till, begin: date | None = None, **changes: Any) -> dict[str, Any]:
    """Try the till's program with changes over everything it has recorded."""
    now = database_time()
    live = published_program(till.program.pk)
    other = candidate(till.program, validate({**till.document, **changes}), label="changed")
    first = begin or now.date() - timedelta(days=500)
    return evaluate(other.program, live, begin=first, end=now.date(), now=now)


def test_points_costs_members_and_rules_are_set_against_what_happened(till: Till):
    ann, bob = till.member(), till.member()
    till.earn(ann, "o1", "100.00")
    till.earn(ann, "o2", "40.00")
    till.earn(bob, "o3", "10.00")
    wallets = [balance_of(till.ids[card]) for card in (ann, bob)]
    found = tried(
        till,
        earning_rules=[
            {"code": "base", "points": 1, "per": "20.00"},
            {"code": "large", "bonus": 150, "when": {"order_amount_min": "100.00"}},
        ],
        points={**till.document["points"], "value": {"points": 50, "amount": "1.00"}},
    )
    # ann: 140 happened; 5 + 150 + 2 = 157 tried. bob: 10 happened, 0 tried.
    assert found["totals"]["happened"]["net"] == 150
    assert found["totals"]["tried"]["net"] == 157
    assert found["cost"] == {"happened": "1.50", "tried": "3.14"}
    assert found["outstanding"] == {"happened": 150, "tried": 157}
    assert found["rules"] == [
        {"rule": "base", "happened": 150, "tried": 7},
        {"rule": "large", "happened": 0, "tried": 150},
    ]
    members = found["members"]
    assert (members["gain"], members["lose"], members["same"]) == (1, 1, 0)
    assert members["gainers"] == [
        {"member": till.ids[ann], "happened": 140, "tried": 157, "change": 17}
    ]
    assert members["losers"] == [
        {"member": till.ids[bob], "happened": 10, "tried": 0, "change": -10}
    ]
    bars = {bar["from"]: bar["members"] for bar in members["bars"] if bar["members"]}
    assert bars == {-10: 1, 11: 1}
    assert [balance_of(till.ids[card]) for card in (ann, bob)] == wallets


def test_a_lower_threshold_lifts_members_and_they_earn_more_from_then_on(till: Till):
    card = till.member()
    for number in range(3):
        till.earn(card, f"o{number}", "60.00")
    levels = [
        {"code": "bronze", "from": "0"},
        {"code": "silver", "from": "100.00", "earn_multiplier": "2"},
    ]
    found = tried(till, tiers={**till.document["tiers"], "levels": levels})
    assert found["totals"]["tried"]["net"] == 60 + 60 + 120
    assert found["levels"] == [{"happened": "bronze", "tried": "silver", "members": 1}]
    assert levels_of(found) == {
        "bronze": {"happened": 1, "tried": 0},
        "silver": {"happened": 0, "tried": 1},
    }
    assert found["months"][-1]["rises"] == {"happened": 0, "tried": 1}


def test_a_return_takes_back_what_the_line_would_have_earned(till: Till):
    card = till.member()
    till.earn(card, "o", lines=[{"line": "1", "sku": "a", "quantity": "4", "amount": "80.00"}])
    till.take_back("o", "r", {"1": "1"})
    found = tried(till, earning_rules=[{"code": "base", "points": 3, "per": "1.00"}])
    assert found["totals"]["happened"] == {"issued": 80, "taken_back": 20, "net": 60}
    assert found["totals"]["tried"] == {"issued": 240, "taken_back": 60, "net": 180}


def test_a_redemption_that_could_not_have_been_paid_is_counted(till: Till):
    card = till.member()
    till.earn(card, "o", "100.00")
    assert till.redeem(card, points=80).status == 201
    found = tried(till, earning_rules=[{"code": "base", "points": 1, "per": "2.00"}])
    assert found["unaffordable"] == {"members": 1, "redemptions": 1, "points": 80}
    assert found["outstanding"] == {"happened": 20, "tried": 50}


def test_orders_of_other_days_stay_as_they_were(till: Till):
    card = till.member()
    now = database_time()
    till.earn(card, "old", "100.00", at=now - timedelta(days=90))
    till.earn(card, "new", "50.00", at=now - timedelta(days=2))
    double = [{"code": "base", "points": 2, "per": "1.00"}]
    found = tried(till, now.date() - timedelta(days=30), earning_rules=double)
    assert found["orders"] == 1
    assert found["totals"]["tried"]["net"] == 100
    assert found["outstanding"] == {"happened": 150, "tried": 200}


def test_a_campaign_never_gives_more_than_its_budget(till: Till):
    today = database_time().date()
    days = {"from": str(today - timedelta(days=3)), "to": str(today + timedelta(days=3))}
    rules = [{"code": "extra", "bonus": 40}]
    campaign = {"code": "spring", **days, "budget_points": 100, "rules": rules}
    till.again(campaigns=[campaign])
    for card in (till.member(), till.member()):
        for number in range(2):
            till.earn(card, f"{card}-{number}", "10.00")
    same = tried(till)
    assert same["totals"]["happened"]["net"] == 40 + 100
    assert same["totals"]["happened"] == same["totals"]["tried"]
    assert same["members"]["same"] == 2
    more = tried(till, campaigns=[{**campaign, "budget_points": 130}])
    assert more["totals"]["tried"]["net"] == 40 + 130


def test_a_campaign_for_joining_keeps_its_budget_too(till: Till):
    today = database_time().date()
    days = {"from": str(today - timedelta(days=3)), "to": str(today + timedelta(days=3))}
    rules = [{"code": "hello", "bonus": 40, "trigger": "member.enrolled"}]
    campaign = {"code": "spring", **days, "budget_points": 70, "rules": rules}
    till.again(campaigns=[campaign])
    for card in (till.member(), till.member()):
        till.earn(card, f"{card}-1", "10.00")
    same = tried(till)
    assert same["totals"]["happened"]["net"] == 20 + 70
    assert same["totals"]["happened"] == same["totals"]["tried"]
    more = tried(till, campaigns=[{**campaign, "budget_points": 75}])
    assert more["totals"]["tried"]["net"] == 20 + 75


def test_open_and_cancelled_orders_are_left_out_and_counted(till: Till):
    card = till.member()
    lines = [{"line": "1", "sku": "a", "quantity": "1", "amount": "10.00"}]
    till.put(card, "o1", 1, lines, state="open")
    till.put(card, "o2", 1, lines)
    till.put(card, "o2", 2, lines, state="cancelled")
    found = tried(till)
    assert found["orders"] == 0
    assert found["skipped"] == {"open": 1, "cancelled": 1}


def test_orders_that_came_with_a_merged_member_stay_as_they_were(till: Till):
    ann, bob = till.member(), till.member()
    till.earn(ann, "o1", "100.00")
    till.earn(bob, "o2", "40.00")
    merged = MergeMembers(
        MemberRef("card", bob), MergeRequest.model_validate({"into": f"card:{ann}"})
    )
    assert till.send(till.command(MERGE, merged, bob, ann))[0].status < 300
    till.earn(ann, "o3", "10.00")
    found = tried(till)
    assert found["skipped"] == {"merged": 1}
    assert found["totals"]["happened"] == found["totals"]["tried"]
    assert found["outstanding"] == {"happened": 150, "tried": 150}


def asked(till: Till) -> Backtest:
    today = database_time().date()
    begin = today - timedelta(days=30)
    return services.ask(till.program, draft_of(till.program), begin=begin, end=today, actor="marta")


def test_a_backtest_is_kept_with_who_what_and_when(till: Till):
    till.earn(till.member(), "o", "10.00")
    backtest = services.run_backtest(asked(till).pk)
    assert (backtest.state, backtest.percent, backtest.created_by) == ("done", 100, "marta")
    assert backtest.orders_done == backtest.orders_total == 1
    assert backtest.document["program"] == till.program.code
    assert backtest.result is not None
    assert backtest.result["totals"]["happened"] == backtest.result["totals"]["tried"]
    assert services.run_backtest(backtest.pk).finished_at == backtest.finished_at
    assert not services.cancel(backtest.pk)


def test_a_cancelled_backtest_stops_at_once(till: Till):
    till.earn(till.member(), "o", "10.00")
    backtest = asked(till)

    def stop(done: int, total: int) -> None:
        services.cancel(backtest.pk)

    assert services.run_backtest(backtest.pk, progress=stop).state == "cancelled"
    backtest.refresh_from_db()
    assert backtest.result is None


def test_a_worker_that_is_rung_again_starts_no_second_process(
    till: Till, monkeypatch: pytest.MonkeyPatch
):
    till.earn(till.member(), "o", "10.00")
    backtest = asked(till)
    started: list[list[str]] = []

    def rung_again_while_it_starts(command: list[str], **_: Any) -> CompletedProcess[bytes]:
        started.append(command)
        services.run_in_own_process(backtest.pk)
        call_command("backtest", *command[command.index("--run") :])
        return CompletedProcess(command, 0)

    monkeypatch.setattr("loyalty.trials.services.subprocess.run", rung_again_while_it_starts)
    monkeypatch.setattr("loyalty.management.commands.backtest.os.nice", lambda _: 0)
    services.run_in_own_process(backtest.pk)
    backtest.refresh_from_db()
    assert (len(started), backtest.state) == (1, "done")


def test_a_backtest_whose_process_was_killed_says_so(till: Till):
    backtest = asked(till)
    assert services._take(backtest.pk)
    assert services.give_up_lost() == 0
    rows(
        "UPDATE loyalty_backtest SET beat_at = now() - interval '2 minutes' WHERE id = %s",
        backtest.pk,
    )
    assert services.give_up_lost() == 1
    backtest.refresh_from_db()
    assert backtest.state == "failed"
    assert "Start it again" in backtest.problem


@pytest.mark.parametrize(
    ("begin", "end"), [("2026-02-01", "2026-01-01"), ("2020-01-01", "2026-01-01")]
)
def test_a_period_that_is_none_or_endless_is_refused(till: Till, begin: str, end: str):
    days = (date.fromisoformat(begin), date.fromisoformat(end))
    with pytest.raises(ValidationFailed):
        services.ask(
            till.program, draft_of(till.program), begin=days[0], end=days[1], actor="marta"
        )


def test_another_currency_and_a_program_without_orders_are_refused(till: Till):
    euros = validate({**till.document, "currency": "EUR"})
    with pytest.raises(ValidationFailed, match="USD"):
        candidate(till.program, euros, label="euros")
    document = validate({**till.document, "program": f"{till.program.code}-new"})
    fresh = Program.objects.create(code=document["program"], name="New", currency="USD")
    with pytest.raises(ValidationFailed, match="never published"):
        services.ask(
            fresh,
            candidate(fresh, document, label="a file"),
            begin=date(2026, 1, 1),
            end=date(2026, 1, 2),
            actor="marta",
        )


def test_the_command_tells_it_and_writes_a_table(
    till: Till, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    card = till.member()
    till.earn(card, "o", "100.00")
    till.again(earning_rules=[{"code": "base", "points": 2, "per": "1.00"}])
    out = tmp_path / "out.csv"
    begin = (database_time().date() - timedelta(days=5)).isoformat()
    end = database_time().date().isoformat()
    given = {"program": till.program.code, "begin": date.fromisoformat(begin)}
    given["end"] = date.fromisoformat(end)
    call_command("backtest", **given, csv=str(out))
    told = capsys.readouterr().out
    assert "100 happened, 200 tried (+100)" in told
    assert "1 gain, 0 lose" in told
    table = list(csv.DictReader(StringIO(out.read_text())))
    assert {
        "part": "rule",
        "name": "base",
        "measure": "points",
        "happened": "100",
        "tried": "200",
        "change": "100",
    } in table
    call_command("backtest", **given, version_number=1)
    assert "100 happened, 100 tried (+0)" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("backtest", **given, file=str(tmp_path / "none.yaml"))


def test_a_table_cannot_bring_a_formula_into_a_spreadsheet(till: Till):
    rule = {"rule": "=1+1", "happened": 0, "tried": 1}
    empty = {"issued": 0, "taken_back": 0, "net": 0}
    both = {"happened": 0, "tried": 0}
    result = {
        "totals": {"happened": empty, "tried": empty},
        "outstanding": both,
        "expired": both,
        "months": [],
        "rules": [rule],
        "levels": [],
        "level_names": [],
        "members": {"gainers": [], "losers": []},
    }
    assert "'=1+1" in csv_text(Backtest(result=result))


def test_a_version_that_was_live_once_can_be_tried_again(till: Till):
    card = till.member()
    till.again(earning_rules=[{"code": "base", "points": 5, "per": "1.00"}])
    till.earn(card, "o", "10.00")
    now = database_time()
    live = published_program(till.program.pk)
    first = version_of(till.program, 1).program
    found = evaluate(first, live, begin=now.date() - timedelta(days=1), end=now.date(), now=now)
    assert found["totals"]["happened"]["net"] == 50
    assert found["totals"]["tried"]["net"] == 10
