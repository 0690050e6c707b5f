"""What a program file must not say, and the words in which it is refused."""

import pytest

from loyalty.programs import files
from tests.unit.program_file import GROCER


def refusal(text: str) -> list[str]:
    with pytest.raises(files.ProgramFileInvalid) as caught:
        files.read(text)
    return caught.value.messages


def refusal_with(old: str, new: str) -> str:
    assert old in GROCER
    [message] = refusal(GROCER.replace(old, new, 1))
    return message


class TestRefusals:
    def test_of_the_brief(self) -> None:
        assert (
            refusal_with('gives: {amount_off: "5.00"}', "gives: {points: 5}")
            == "line 32, rewards[0].gives.points: is not supported yet; take it out"
        )

    @pytest.mark.parametrize(
        ("old", "new", "place"),
        [
            ('gives: {amount_off: "5.00"}', "gives: {product: x}, valid_days: 9", "rewards[0]."),
            ("stores: [", "referrals: []\nstores: [", "referrals"),
        ],
    )
    def test_what_is_not_supported_yet_is_named(self, old: str, new: str, place: str) -> None:
        messages = refusal(GROCER.replace(old, new, 1))

        assert [place in text and "is not supported yet" in text for text in messages] == [True]

    @pytest.mark.parametrize(
        ("window", "message"),
        [
            (
                "calendar_year\n  validity: while_qualifying",
                "tiers: validity: while_qualifying is for rolling windows; with years everybody"
                " would fall when a year begins",
            ),
            (
                "calendar_year\n  validity: for_ever",
                "tiers.validity: must be {months: 1 to 120} or one of while_qualifying,"
                " end_of_year, end_of_next_year",
            ),
            (
                "calendar_year\n  validity: {months: 0}",
                "tiers.validity: must be {months: 1 to 120} or one of while_qualifying,"
                " end_of_year, end_of_next_year",
            ),
        ],
    )
    def test_how_long_a_level_is_kept(self, window: str, message: str) -> None:
        found = refusal_with("window: {rolling_months: 12}", f"window: {window}")

        assert found.split(", ", 1)[1] == message

    def test_a_limit_on_what_comes_once_a_year(self) -> None:
        message = refusal_with(
            "trigger: member.enrolled", "trigger: member.birthday, limit: {times: 1, per: year}"
        )

        assert message.endswith("goes without limit: it comes once a year")

    @pytest.mark.parametrize(
        ("trigger", "message"),
        [
            ("activity", "the trigger activity goes with activity, which names it: review"),
            (
                "order, activity: review",
                "the trigger activity goes with activity, which names it: review",
            ),
            (
                "activity, activity: review, when: {category: [A]}",
                "the trigger activity goes without when.category",
            ),
            ("order, when: {property: {a: [b]}}", "the trigger order goes without when.property"),
        ],
    )
    def test_an_activity_and_its_name(self, trigger: str, message: str) -> None:
        found = refusal_with("trigger: member.enrolled", f"trigger: {trigger}")

        assert found.endswith(message)

    @pytest.mark.parametrize(
        ("level", "benefits", "words"),
        [
            ("silver", "{rewards: [mugg]}", '"mugg" is not a reward of this program'),
            ("silver", "{free_redemptions: {mugg: 2}}", "is not a reward of this program"),
            ("bronze", "{rewards: [mug]}", "every member begins at this one"),
        ],
    )
    def test_what_a_level_gives(self, level: str, benefits: str, words: str) -> None:
        entry = f"{{code: {level}, "
        message = refusal_with(entry, f"{entry}benefits: {benefits}, ")

        assert words in message

    def test_a_trigger_that_is_not_supported_yet(self) -> None:
        message = refusal_with("trigger: member.enrolled", "trigger: member.referred")

        assert message.endswith('trigger: "member.referred" is not supported yet; take it out')

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "rounding: down",
                "rouding: down",
                'line 7, points.rouding: is not a key of points; did you mean "rounding"?',
            ),
            (
                "{category: [PRODUCE]}",
                "{categories: [PRODUCE]}",
                "line 19, earning_rules[1].when.categories: is not a key of earning_rules.when; "
                'did you mean "category"?',
            ),
            (
                "rounding: down",
                "rounding: sideways",
                'line 7, points.rounding: must be "down", "nearest" or "up", not "sideways"',
            ),
            ("basis: net", "basis: gross", 'line 8, points.basis: must be "net", not "gross"'),
            (
                'per: "1.00"',
                "per: 1.50",
                'line 18, earning_rules[0].per: must be in quotes, such as "1.50"; '
                "without quotes it is not exact",
            ),
            (
                'per: "1.00"',
                'per: "1.005"',
                "line 18, earning_rules[0].per: 1.005 has more than the 2 decimals of the currency",
            ),
            ('per: "1.00"', 'per: "0"', "line 18, earning_rules[0].per: must be more than 0"),
            ('per: "1.00"', 'per: "-1"', "line 18, earning_rules[0].per: must not be negative"),
            (
                'per: "1.00"',
                'per: "1e3"',
                'line 18, earning_rules[0].per: "1e3" is not an amount; write it as "1.00"',
            ),
            (
                'points: 1, per: "1.00"',
                "points: 1",
                "line 18, earning_rules[0]: needs both points and per: 1 point per amount",
            ),
            (
                'points: 1, per: "1.00"',
                'points: 1.5, per: "1.00"',
                "line 18, earning_rules[0].points: must be a whole number",
            ),
            (
                'points: 1, per: "1.00"',
                'points: true, per: "1.00"',
                "line 18, earning_rules[0].points: must be a whole number",
            ),
            (
                'points: 1, per: "1.00"',
                'points: "1", per: "1.00"',
                "line 18, earning_rules[0].points: must be a whole number, without quotes",
            ),
            (
                'points: 1, per: "1.00"',
                'points: 1000000001, per: "1.00"',
                "line 18, earning_rules[0].points: must be at most 1000000000",
            ),
            (
                "bonus: 50",
                'bonus: 50, multiply: "2"',
                "line 20, earning_rules[2]: needs either points and per, or multiply, or bonus",
            ),
            (
                "bonus: 100",
                'multiply: "2"',
                "line 21, earning_rules[3]: the trigger member.enrolled goes with a bonus",
            ),
            (
                "from: 2017-03-01",
                "limit: {per: week}",
                "line 20, earning_rules[2].limit: needs times or points, or both: "
                "{times: 1, per: week}",
            ),
            (
                "from: 2017-03-01",
                "from: 2017-03-01, to: 2017-02-28",
                "line 20, earning_rules[2]: ends on 2017-02-28, before it starts on 2017-03-01",
            ),
            (
                "from: 2017-03-01",
                "from: tomorrow",
                "line 20, earning_rules[2].from: must be a date such as 2017-03-01",
            ),
            (
                'multiply: "2"',
                'multiply: "0.5"',
                'line 19, earning_rules[1].multiply: must be from "1" to "1000"',
            ),
            (
                'multiply: "2"',
                'multiply: "1"',
                'line 19, earning_rules[1]: multiply must be more than "1": '
                "it adds to the base points",
            ),
            (
                'earn_multiplier: "1.25"',
                'earn_multiplier: "0.9"',
                'line 27, tiers.levels[1].earn_multiplier: must be from "1" to "1000"',
            ),
            (
                'from: "0"',
                'from: "1"',
                'line 26, tiers.levels[0].from: the first level must be from "0": '
                "every member has one",
            ),
            (
                '"1000.00"',
                '"250.00"',
                "line 28, tiers.levels[2].from: must be more than the level before; levels rise",
            ),
            (
                "code: mug",
                "code: five-off",
                'line 33, rewards[1].code: "five-off" is used twice; each code once',
            ),
            (
                "[silver, gold]",
                "[silver, golde]",
                'line 39, rewards[1].tiers[1]: "golde" is not a tier level of this program; '
                'did you mean "gold"?',
            ),
            (
                "{category: [PRODUCE]}",
                '{store: ["310"]}',
                'line 19, earning_rules[1].when.store[0]: "310" is not a store of this program; '
                'did you mean "309"?',
            ),
            (
                'code: "309"',
                "code: 309",
                'line 16, stores[0].code: must be text; write it in quotes: "309"',
            ),
            (
                "America/New_York",
                "America/NewYork",
                'line 3, timezone: "America/NewYork" is not a time zone; '
                'did you mean "America/New_York"?',
            ),
            ("USD", "usd", 'line 4, currency: "usd" is not a currency of ISO 4217, such as USD'),
            (
                "window: {rolling_months: 12}",
                "window: {months: 12}",
                "line 24, tiers.window: must be {rolling_months: 1 to 120}, calendar_year or "
                "membership_year",
            ),
            (
                "{months: 12, until: end_of_month}",
                '{dates: ["02-30"]}',
                "line 13, points.expiry.dates[0]: must be a month and a day in quotes, "
                'such as "03-31"',
            ),
            (
                "{months: 12, until: end_of_month}",
                '{months: 1, dates: ["03-31"]}',
                "line 13, points.expiry: needs one of months, inactivity_months and dates, "
                'or is "none"',
            ),
            (
                "{months: 12, until: end_of_month}",
                "{inactivity_months: 6, until: end_of_month}",
                "line 13, points.expiry: until goes with months, not with inactivity_months",
            ),
            (
                "maturity_days: 0",
                "maturity_days: 336",
                "line 5, points: points would expire before they can be used: see maturity_days",
            ),
            ("cost: 500", "cost: 0", "line 32, rewards[0].cost: must be at least 1"),
            (
                '{amount_off: "5.00"}',
                "{}",
                "line 32, rewards[0].gives: needs exactly one of amount_off, percent_off, product, "
                "code_from_pool, store_credit, custom",
            ),
            (
                '{amount_off: "5.00"}',
                '{amount_off: "5.00", max_amount: "9.00"}',
                "line 32, rewards[0].gives: max_amount goes with percent_off",
            ),
            (
                '{amount_off: "5.00"}',
                "{product: mug, shown: once}",
                "line 32, rewards[0].gives: shown and returned go with code_from_pool",
            ),
            (
                '{amount_off: "5.00"}',
                "{code_from_pool: cinema, shown: once, returned: reuse}",
                "line 32, rewards[0].gives: a code that is shown once is not kept, so it cannot "
                "be reused",
            ),
            (
                'gives: {amount_off: "5.00"}',
                "gives: {code_from_pool: cinema}, stock: 5",
                "line 32, rewards[0]: the pool's codes are its stock: take stock out",
            ),
            (
                '{amount_off: "5.00"}',
                "{percent_off: 101}",
                'line 32, rewards[0].gives.percent_off: must be more than "0" and at most "100"',
            ),
            (
                "cost: 500",
                "cost: {gold: 400}",
                "line 32, rewards[0].cost: needs a default: {default: 500, gold: 400}",
            ),
            (
                "cost: 500",
                "cost: {default: 500, golde: 400}",
                "line 32, rewards[0].cost.golde: is not a tier level of this program; "
                'did you mean "gold"?',
            ),
            (
                'gives: {amount_off: "5.00"}',
                'gives: {amount_off: "5.00"}, stock_low: [3]',
                "line 32, rewards[0]: stock_low goes with stock or code_from_pool",
            ),
            (
                "maturity_days: 0",
                "pay: {min: 120, step: 50}",
                "line 10, points.pay: min must be a multiple of step: 50",
            ),
            ("name: Mug", 'name: ""', "line 34, rewards[1].name: must not be empty"),
            (
                "name: Mug",
                'name: "a\\nb"',
                "line 34, rewards[1].name: must be one line of text, without spaces around it",
            ),
            (
                "code: mug",
                "code: big mug",
                "line 33, rewards[1].code: must begin with a letter or digit and have only "
                "letters, digits, '.', '_' and '-'",
            ),
        ],
    )
    def test_names_the_line_the_key_and_what_to_do(self, old: str, new: str, message: str) -> None:
        assert refusal_with(old, new) == message

    def test_everything_is_said_at_once_in_the_order_of_the_file(self) -> None:
        text = GROCER.replace("rounding: down", "rounding: x").replace("cost: 500", "cost: 0")

        assert [message[:7] for message in refusal(text)] == ["line 7,", "line 32"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "line 1: a program begins with 'program: CODE'"),
            ("- x", "line 1: a program begins with 'program: CODE'"),
            ("a: 1\na: 2", 'line 2: found duplicate key "a" with value "2" (original value: "1")'),
            ("program: [", "line 1: expected the node content, but found '<stream end>'"),
        ],
    )
    def test_what_is_no_program_at_all(self, text: str, message: str) -> None:
        assert refusal(text) == [message]

    def test_a_file_that_multiplies_itself(self) -> None:
        layers = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
        layers += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 8)]

        assert refusal("\n".join(layers)) == ["line 1: too much is nested or repeated"]
