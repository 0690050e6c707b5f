"""What a marketer saves is the draft, or nothing is saved and the form says why."""

from decimal import Decimal

import pytest

from loyalty.programs.models import EarningRule, Program, Reward, RewardStock, TierLevel
from loyalty.programs.selectors import live_document
from tests.factories import Till, open_till, unique
from tests.integration.admin.forms import Marketer, text_of


def reward_page(till: Till, code: str) -> str:
    return f"loyalty/reward/{Reward.objects.get(program=till.program, code=code).pk}/change/"


def rule_page(till: Till, code: str) -> str:
    rule = EarningRule.objects.get(program=till.program, code=code)
    return f"loyalty/earningrule/{rule.pk}/change/"


def program_page(till: Till) -> str:
    return f"loyalty/program/{till.program.pk}/change/"


def review_page(till: Till) -> str:
    return f"loyalty/publishedversion/review/{till.program.pk}/"


def level_field(marketer: Marketer, till: Till, code: str, name: str) -> str:
    """Name the field of a level's row."""
    pk = str(TierLevel.objects.get(program=till.program, code=code).pk)
    fields = marketer.fields(program_page(till))
    prefix = next(key for key, value in fields.items() if key.endswith("-id") and value == pk)
    return prefix.removesuffix("id") + name


def version(till: Till) -> int:
    return Program.objects.get(pk=till.program.pk).version


def test_a_reward_costs_what_was_saved_once_it_is_published(marketer: Marketer, till: Till):
    card = till.member(balance=45)
    page = marketer.save(reward_page(till, "five-off"), cost="45")
    assert "1 change of Corner shop is not live." in text_of(page)
    assert till.redeem(card, reward="five-off").status == 409
    page = marketer.publish(till.program)
    assert "Version 2 is live." in text_of(page)
    assert till.redeem(card, reward="five-off").points == 45


def test_saving_without_a_change_leaves_the_draft_as_it_is(marketer: Marketer, till: Till):
    page = marketer.save(program_page(till))
    assert "changed successfully" in text_of(page)
    assert Program.objects.get(pk=till.program.pk).revision == till.program.revision + 1
    assert "Version 1 is live" in text_of(marketer.open(program_page(till)))


def test_a_tier_reached_at_a_lower_threshold(marketer: Marketer, till: Till):
    card = till.member()
    marketer.save(program_page(till), **{level_field(marketer, till, "silver", "threshold"): "20"})
    marketer.publish(till.program)
    assert till.earn(card, "o1", "20.00").tier["code"] == "silver"


def test_what_a_level_gives_is_saved_and_obeyed(marketer: Marketer, till: Till):
    field = {name: level_field(marketer, till, "silver", name)
             for name in ("entry_rewards", "free_redemptions")}  # fmt: skip
    given = {field["entry_rewards"]: "mug", field["free_redemptions"]: "five-off: 2"}
    page = marketer.save(program_page(till), **given)
    assert "changed successfully" in text_of(page)
    marketer.publish(till.program)
    card = till.member()
    assert [one["reward"] for one in till.earn(card, "o1", "250.00").issued] == ["mug"]
    assert till.redeem(card, reward="five-off").points == 0
    unknown = marketer.save(program_page(till), **{field["entry_rewards"]: "mugg"})
    assert "is not a reward of this program" in text_of(unknown)


def test_points_policy_is_saved_with_the_program(marketer: Marketer, till: Till):
    changes = {
        "points-0-expiry": "months",
        "points-0-expiry_months": "6",
        "points-0-expiry_until": "end_of_month",
        "points-0-expiring_notice_days": "14, 3,",
    }
    marketer.save(program_page(till), **changes)
    marketer.publish(till.program)
    live = live_document(till.program.pk)
    assert live is not None
    assert live["points"]["expiry"] == {"months": 6, "until": "end_of_month"}
    assert live["points"]["expiring_notice_days"] == [14, 3]


def test_a_new_program_is_live_once_it_is_published(marketer: Marketer):
    code = unique()
    marketer.save(
        "loyalty/program/add/", code=code, name="Bakery", timezone="Europe/Berlin", currency="EUR"
    )
    program = Program.objects.get(code=code)
    assert "Bakery is not live yet." in text_of(
        marketer.open(f"loyalty/program/{program.pk}/change/")
    )
    page = marketer.publish(program)
    assert "Version 1 is live." in text_of(page)
    assert program.points.value_points == 100


def test_a_rule_can_be_added_and_taken_out(marketer: Marketer, till: Till):
    card = till.member()
    marketer.save(
        "loyalty/earningrule/add/",
        program=str(till.program.pk),
        code="bonus",
        kind="bonus",
        bonus="7",
        is_active="on",
        order_amount_min="5.00",
    )
    review = text_of(marketer.open(review_page(till)))
    assert "Earning rules new bonus 7 points, from 5.00 USD" in review
    marketer.publish(till.program)
    assert till.earn(card, "o1", "10.00").points == 17
    rule = EarningRule.objects.get(program=till.program, code="bonus")
    marketer.client.post(f"/admin/loyalty/earningrule/{rule.pk}/delete/", {"post": "yes"})
    marketer.publish(till.program)
    assert till.earn(card, "o2", "10.00").points == 10


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("store", "309, 399", '"399" is not a store'),
        ("per", "1.001", "decimals"),
        ("points", "", "Needs both"),
    ],
)
def test_a_rule_that_cannot_be_is_explained_at_its_field(
    marketer: Marketer, till: Till, field: str, value: str, words: str
):
    page = marketer.save(rule_page(till, "base"), **{field: value})
    assert words in text_of(page)
    assert version(till) == 1
    assert EarningRule.objects.get(program=till.program, code="base").when == {}


def test_an_empty_field_is_told_of_once(marketer: Marketer, till: Till):
    empty = {
        "program": str(till.program.pk),
        "name": "",
        "code": "",
        "cost": "",
        "starts_on": "",
        "ends_on": "",
    }
    for name, fields in (("reward", 3), ("campaign", 4)):
        words = text_of(marketer.save(f"loyalty/{name}/add/", **empty))
        assert words.count("This field is required.") == fields
        assert "Must " not in words


def test_a_level_below_the_one_before_is_refused_at_its_row(marketer: Marketer, till: Till):
    till.again(
        tiers={
            **till.document["tiers"],
            "levels": [*till.document["tiers"]["levels"], {"code": "gold", "from": "900"}],
        }
    )
    field = level_field(marketer, till, "silver", "threshold")
    page = marketer.save(program_page(till), **{field: "900"})
    assert "levels rise" in text_of(page)
    assert TierLevel.objects.get(program=till.program, code="silver").threshold == 250


def test_a_level_that_a_reward_needs_cannot_go(marketer: Marketer):
    mug = {"code": "mug", "name": "Mug", "cost": 1, "gives": {"product": "m"}}
    till = open_till(rewards=[{**mug, "tiers": ["silver"]}])
    field = level_field(marketer, till, "silver", "DELETE")
    page = marketer.save(program_page(till), **{field: "on"})
    assert "Reward “mug”, tiers" in text_of(page)
    assert "is not a tier level of this program" in text_of(page)
    assert TierLevel.objects.filter(program=till.program, code="silver").exists()


def test_a_store_that_a_rule_needs_cannot_go(marketer: Marketer):
    till = open_till(
        earning_rules=[{"code": "base", "points": 1, "per": "1.00", "when": {"store": ["310"]}}]
    )
    store = till.program.stores.get(code="310")
    page = marketer.client.post(
        f"/admin/loyalty/store/{store.pk}/delete/", {"post": "yes"}, follow=True
    )
    assert "Earning rule “base”, store:" in text_of(page)
    assert till.program.stores.filter(code="310").exists()
    assert version(till) == 1


def test_thresholds_are_read_by_the_metric_of_the_same_save(marketer: Marketer, till: Till):
    field = level_field(marketer, till, "silver", "threshold")
    marketer.save(program_page(till), **{"qualify_by": "orders", field: "5"})
    page = marketer.save(program_page(till), **{"qualify_by": "spend", field: "99.50"})
    assert "changed successfully" in text_of(page)
    assert TierLevel.objects.get(program=till.program, code="silver").threshold == Decimal("99.50")


def test_stock_that_tills_took_survives_a_save(marketer: Marketer, till: Till):
    card = till.member(balance=100)
    page = marketer.fields(reward_page(till, "mug"))
    till.redeem(card, reward="mug")
    sent = {**page, "name": "Big mug", "stock": "8", "_save": "Save"}
    marketer.client.post(f"/admin/{reward_page(till, 'mug')}", sent)
    marketer.publish(till.program)
    stock = RewardStock.objects.get(program_id=till.program.pk, reward="mug")
    assert (stock.total, stock.remaining) == (8, 7)
    catalogue = marketer.open(f"loyalty/reward/?program__id__exact={till.program.pk}")
    assert "7 of 8" in text_of(catalogue)


def test_stock_that_no_till_has_yet_is_all_there(marketer: Marketer, till: Till):
    new = {"program": str(till.program.pk), "name": "Tote bag", "code": "tote", "cost": "300"}
    marketer.save("loyalty/reward/add/", **new, gives="product", what="sku-tote", stock="5")
    catalogue = marketer.open(f"loyalty/reward/?program__id__exact={till.program.pk}")
    assert "5 of 5" in text_of(catalogue) and "None" not in text_of(catalogue)


def test_less_stock_than_is_taken_is_refused_in_words(marketer: Marketer, till: Till):
    card = till.member(balance=100)
    till.redeem(card, reward="mug")
    till.redeem(card, reward="mug")
    page = marketer.save(reward_page(till, "mug"), stock="1")
    assert "Must be at least 2: so many are already taken" in text_of(page)
    assert Reward.objects.get(program=till.program, code="mug").stock == 5


def test_nobody_deletes_a_program_or_many_parts_at_once(marketer: Marketer, till: Till):
    path = f"/admin/loyalty/program/{till.program.pk}/delete/"
    assert marketer.client.post(path, {"post": "yes"}).status_code == 403
    assert 'value="delete_selected"' not in marketer.open("loyalty/reward/").content.decode()


def test_codes_and_programs_stay(marketer: Marketer, till: Till):
    other = open_till()
    marketer.save(reward_page(till, "mug"), code="cup", program=str(other.program.pk))
    assert Reward.objects.filter(program=till.program, code="mug").exists()
