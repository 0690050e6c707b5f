"""Program files: what is accepted, the way back, and what differs."""

from copy import deepcopy
from textwrap import dedent
from typing import Any

import pytest

from loyalty.programs import files
from loyalty.programs.changes import describe_changes
from loyalty.programs.document import validate
from loyalty.programs.problems import DocumentInvalid, Problem
from tests.unit.program_file import GROCER


class TestReading:
    def test_the_smallest_program(self) -> None:
        document = files.read("program: p\nname: P\ntimezone: UTC\ncurrency: JPY\n")

        assert document == {
            "program": "p",
            "name": "P",
            "timezone": "UTC",
            "currency": "JPY",
            "points": {
                "name": "points",
                "rounding": "down",
                "basis": "net",
                "value": {"points": 100, "amount": "1"},
                "pay": {"min": 1, "step": 1},
                "maturity_days": 0,
                "hold_minutes": 30,
                "unknown_member": "refuse",
                "expiry": "none",
                "clawback": "debt",
                "expiring_notice_days": [30, 7],
                "inactive_notice_days": [180],
                "accept_late_days": 400,
                "lapsed": "expire",
                "lapsed_grace_days": 14,
            },
            "stores": [],
            "earning_rules": [],
            "campaigns": [],
            "rewards": [],
        }

    def test_amounts_and_factors_have_one_spelling(self) -> None:
        document = files.read(GROCER.replace('per: "1.00"', "per: 1"))

        assert document["earning_rules"][0]["per"] == "1.00"
        assert [level["from"] for level in document["tiers"]["levels"]] == [
            "0.00",
            "250.00",
            "1000.00",
        ]
        assert document["tiers"]["levels"][2]["earn_multiplier"] == "1.5"

    def test_on_and_no_are_words(self) -> None:
        document = files.read(GROCER.replace("[PRODUCE]", "[on, no, Yes]"))

        assert document["earning_rules"][1]["when"]["category"] == ["on", "no", "Yes"]

    def test_names_follow_from_codes(self) -> None:
        document = files.read(GROCER.replace("code: bronze", "code: first-step"))

        assert document["tiers"]["levels"][0]["name"] == "First step"

    def test_thresholds_of_points_are_whole_numbers(self) -> None:
        text = GROCER.replace("qualify_by: spend", "qualify_by: points")
        text = text.replace('"250.00"', '"250"').replace('"1000.00"', "1000")

        levels = files.read(text)["tiers"]["levels"]

        assert [level["from"] for level in levels] == ["0", "250", "1000"]

    def test_anchors_and_merged_keys(self) -> None:
        text = dedent("""\
            program: p
            name: P
            timezone: UTC
            currency: USD
            rewards:
              - &first {code: a, name: A, cost: 5, gives: {product: x}}
              - {<<: *first, code: b}
        """)

        assert [reward["cost"] for reward in files.read(text)["rewards"]] == [5, 5]


class TestWritingBack:
    def test_what_is_exported_is_read_as_the_same(self) -> None:
        document = files.read(GROCER)

        assert files.read(files.export(document)) == document

    def test_defaults_are_written_out(self) -> None:
        text = files.export(files.read(GROCER))

        rule = '{code: base, active: true, trigger: order, points: 1, per: "1.00", steps: whole}'
        assert f"  - {rule}\n" in text
        assert "  accept_late_days: 400\n" in text
        level = 'code: bronze, name: Bronze, from: "0.00", earn_multiplier: "1", keep: false'
        assert f"    - {{{level}, benefits: {{perks: []}}}}\n" in text
        assert "  validity: while_qualifying\n" in text

    def test_the_order_of_keys_does_not_depend_on_the_database(self) -> None:
        document = files.read(GROCER)
        shuffled = {key: document[key] for key in sorted(document)}

        assert files.export(shuffled) == files.export(document)

    def test_diff_is_empty_where_nothing_differs(self) -> None:
        document = files.read(GROCER)

        assert files.diff(document, deepcopy(document), live_name="a", wanted_name="b") == ""

    def test_diff_shows_the_line_that_changes(self) -> None:
        live, wanted = files.read(GROCER), files.read(GROCER.replace("cost: 500", "cost: 450"))

        lines = files.diff(live, wanted, live_name="live", wanted_name="file").splitlines()

        assert lines[:2] == ["--- live", "+++ file"]
        assert [line[:24] for line in lines if line[0] in "+-"][2:] == [
            "-  - {code: five-off, na",
            "+  - {code: five-off, na",
        ]

    def test_diff_against_nothing_adds_everything(self) -> None:
        lines = files.diff(None, files.read(GROCER), live_name="live", wanted_name="file")

        assert "+program: grocer" in lines.splitlines()


class TestChanges:
    def changed(self, old: str, new: str) -> list[str]:
        return describe_changes(files.read(GROCER), files.read(GROCER.replace(old, new, 1)))

    @pytest.mark.parametrize(
        ("old", "new", "line"),
        [
            ("cost: 500", "cost: 450", "Reward five-off, cost: 500 → 450"),
            ("stock: 200", "stock: 250", "Reward mug, stock: 200 → 250"),
            (
                "  - {code: welcome, bonus: 100, trigger: member.enrolled}\n",
                "",
                "Earning rule welcome: removed: 100 points, for joining the program",
            ),
            (
                "  - {code: welcome",
                '  - {code: more, multiply: "3"}\n  - {code: welcome',
                "Earning rule more: added: 3 × the points for the amount",
            ),
            (
                "{months: 12, until: end_of_month}",
                "none",
                "How points behave, expiry: months 12, until end of month → none",
            ),
            ("[30, 7]", "[14]", "How points behave, expiring notice days: 30, 7 → 14"),
        ],
    )
    def test_are_told_in_one_line_each(self, old: str, new: str, line: str) -> None:
        assert self.changed(old, new) == [line]

    def test_of_order(self) -> None:
        document: dict[str, Any] = files.read(GROCER)
        turned = {**document, "rewards": document["rewards"][::-1]}

        assert describe_changes(document, turned) == ["Rewards: in another order: mug, five-off"]
        stores = [{"code": str(number), "name": "Store"} for number in range(9)]
        many, others = {**document, "stores": stores}, {**document, "stores": stores[::-1]}
        assert describe_changes(many, others) == ["Stores: in another order"]

    def test_of_the_first_version(self) -> None:
        assert describe_changes(None, files.read(GROCER)) == ["first version"]


class TestPointers:
    def test_are_json_pointers(self) -> None:
        assert Problem(("earning_rules", 1, "when", "a/b~c"), "x").pointer == (
            "/earning_rules/1/when/a~1b~0c"
        )

    def test_are_told_by_the_error(self) -> None:
        with pytest.raises(DocumentInvalid) as caught:
            validate({"program": "p", "name": "P", "timezone": "UTC", "currency": "XXX"})

        assert caught.value.status == 422
        assert caught.value.errors == [
            {
                "pointer": "/currency",
                "message": '"XXX" is not a currency of ISO 4217, such as USD',
            }
        ]

    @pytest.mark.parametrize("written", [None, [], "program", 5])
    def test_what_is_no_program(self, written: object) -> None:
        with pytest.raises(DocumentInvalid, match="a program is a block of keys"):
            validate(written)
