"""Applying and publishing programs: versions, drafts, and what stays untouched."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.programs import files, selectors, services
from loyalty.programs.document import validate
from loyalty.programs.models import (
    EarningRule,
    Program,
    PublishedVersion,
    Reward,
    Store,
    TierLevel,
)
from loyalty.programs.problems import DocumentInvalid
from tests.unit.program_file import GROCER

pytestmark = pytest.mark.django_db

EVERYTHING: dict[str, Any] = {
    "program": "all",
    "name": "All of it",
    "timezone": "Pacific/Apia",
    "currency": "KWD",
    "points": {
        "name": "stars",
        "rounding": "nearest",
        "value": {"points": 1, "amount": "0.005"},
        "maturity_days": 14,
        "hold_minutes": 5,
        "unknown_member": "enrol",
        "expiry": {"dates": ["02-29", "12-31"]},
        "clawback": "write_off",
        "expiring_notice_days": [],
        "accept_late_days": 0,
        "adjustment_limit": 500,
        "lapsed": "grace",
        "lapsed_grace_days": 3,
    },
    "stores": [{"code": "b", "name": "B"}, {"code": "A.1"}],
    "earning_rules": [
        {"code": "z", "name": "First", "points": 3, "per": "0.001", "steps": "proportional"},
        {
            "code": "a",
            "multiply": "1.125",
            "when": {
                "category": ["Fresh food", "no"],
                "brand": ["Own"],
                "store": ["b"],
                "order_amount_min": "0",
            },
            "from": "2017-01-01",
            "to": "2017-12-31",
        },
        {"code": "hello", "bonus": 10**9, "trigger": "member.enrolled", "active": False},
    ],
    "tiers": {
        "qualify_by": "orders",
        "window": "membership_year",
        "levels": [{"code": "ground", "from": 0}, {"code": "top", "name": "TOP!", "from": "7"}],
        "downgrade": "recalculate",
        "grace_days": 0,
    },
    "rewards": [
        {"code": "z", "name": "Z", "cost": 1, "gives": {"product": "sku z"}, "stock": 0},
        {
            "code": "a",
            "name": "A",
            "cost": 10**9,
            "gives": {"amount_off": "0.5"},
            "per_member": {"times": 1, "per": "day"},
            "tiers": ["top"],
            "from": "2017-01-01",
            "to": "2017-01-01",
            "active": False,
        },
    ],
}


def changed(old: str, new: str) -> dict[str, Any]:
    assert old in GROCER
    return files.read(GROCER.replace(old, new, 1))


class TestApplyDocument:
    def test_publishes_the_first_version(self, grocer: Program) -> None:
        published = PublishedVersion.objects.get(program=grocer)

        assert (grocer.version, published.version) == (1, 1)
        assert (published.published_by, published.summary) == ("tests", "first version")
        assert published.document == files.read(GROCER)
        assert Program.objects.get(code="grocer").version == 1

    @pytest.mark.parametrize("written", [EVERYTHING, GROCER], ids=["everything", "grocer"])
    def test_the_tables_hold_all_that_was_said(self, written: Any) -> None:
        wanted = files.read(written) if isinstance(written, str) else written

        program = services.apply_document(wanted, actor="tests")

        stored = selectors.document(Program.objects.get(pk=program.pk))
        assert stored == validate(wanted)
        assert files.export(stored) == files.export(selectors.live_document(program.pk) or {})

    def test_the_same_again_publishes_nothing(self, grocer: Program) -> None:
        again = services.apply_document(files.read(GROCER), actor="tests")

        assert (again.pk, again.version) == (grocer.pk, 1)
        assert PublishedVersion.objects.count() == 1

    def test_a_change_is_a_new_version_that_says_what_changed(self, grocer: Program) -> None:
        program = services.apply_document(changed("cost: 500", "cost: 450"), actor="Ann")

        published = PublishedVersion.objects.get(program=program, version=2)
        assert (program.version, published.published_by) == (2, "Ann")
        assert published.summary == "Reward five-off, cost: 500 → 450"

    def test_rows_keep_their_ids_and_what_is_not_named_goes(self, grocer: Program) -> None:
        mug = Reward.objects.get(code="mug")
        wanted = files.read(GROCER)
        wanted["rewards"] = wanted["rewards"][1:]
        wanted["rewards"][0]["cost"] = 800

        services.apply_document(wanted, actor="tests")

        assert [(reward.pk, reward.cost) for reward in Reward.objects.all()] == [(mug.pk, 800)]

    def test_another_program_is_not_touched(self, grocer: Program) -> None:
        services.apply_document(EVERYTHING, actor="tests")

        assert selectors.document(grocer) == files.read(GROCER)

    def test_tiers_can_be_taken_out(self, grocer: Program) -> None:
        wanted = files.read(GROCER)
        del wanted["tiers"], wanted["rewards"][1]["tiers"]

        program = services.apply_document(wanted, actor="tests")

        assert not TierLevel.objects.exists()
        assert selectors.published_program(program.pk).tiers is None

    def test_a_refused_document_changes_nothing(self, grocer: Program) -> None:
        wanted = {**files.read(GROCER), "name": "Other", "rewards": [{"code": "x"}]}

        with pytest.raises(DocumentInvalid):
            services.apply_document(wanted, actor="tests")

        assert Program.objects.get().name == "Grocer Rewards"
        assert selectors.current_version(grocer.pk) == 1

    def test_the_currency_is_fixed_once_published(self, grocer: Program) -> None:
        with pytest.raises(DocumentInvalid, match="cannot change") as caught:
            services.apply_document(changed("currency: USD", "currency: EUR"), actor="tests")

        assert [problem.pointer for problem in caught.value.problems] == ["/currency"]
        assert Program.objects.get().currency == "USD"

    def test_many_stores_take_a_handful_of_statements(self, grocer: Program) -> None:
        wanted = files.read(GROCER)
        wanted["stores"] += [{"code": f"s{number:04}"} for number in range(1_000)]

        with CaptureQueriesContext(
            connection,
        ) as queries:
            services.apply_document(wanted, actor="tests")

        assert Store.objects.count() == 1_001
        assert len(queries) < 40


class TestPublish:
    def test_a_draft_changes_nothing_until_it_is_published(self, grocer: Program) -> None:
        Reward.objects.filter(code="five-off").update(cost=450)

        assert selectors.published_program(grocer.pk).rewards["five-off"].cost == 500
        assert services.publish(grocer, actor="Ann") == 2
        assert selectors.published_program(grocer.pk).rewards["five-off"].cost == 450
        assert selectors.published_program(grocer.pk, version=1).rewards["five-off"].cost == 500

    def test_nothing_new_where_nothing_changed(self, grocer: Program) -> None:
        assert services.publish(grocer, actor="Ann") == 1

    def test_a_draft_that_contradicts_itself_is_refused(self, grocer: Program) -> None:
        TierLevel.objects.filter(code="bronze").update(threshold=Decimal(10))

        with pytest.raises(DocumentInvalid, match="first level must be from") as caught:
            services.publish(grocer, actor="Ann")

        assert [problem.pointer for problem in caught.value.problems] == ["/tiers/levels/0/from"]
        assert selectors.current_version(grocer.pk) == 1

    def test_rules_that_are_switched_off_are_as_if_they_did_not_exist(
        self, grocer: Program
    ) -> None:
        EarningRule.objects.filter(code="welcome").update(is_active=False)
        Reward.objects.filter(code="mug").update(is_active=False)

        services.publish(grocer, actor="Ann")

        published = selectors.published_program(grocer.pk)
        assert "welcome" not in [rule.code for rule in published.earning_rules]
        assert list(published.rewards) == ["five-off"]

    def test_enrolments_do_not_wait_for_it(self, grocer: Program) -> None:
        with CaptureQueriesContext(connection) as queries:
            services.publish(grocer, actor="Ann")

        locks = [query["sql"] for query in queries if "FOR " in query["sql"]]
        assert len(locks) == 1
        assert locks[0].endswith("FOR NO KEY UPDATE")
