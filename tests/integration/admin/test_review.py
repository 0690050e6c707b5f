"""Review, publish, plan, discard, compare, go back: who, when and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from loyalty.admin.forms import local_time
from loyalty.programs import scheduling
from loyalty.programs.models import Program, Reward, RewardStock
from loyalty.programs.selectors import live_document
from loyalty.rewards.pools import load_codes
from tests.factories import Till
from tests.integration.admin.forms import Marketer, text_of
from tests.integration.admin.test_publishing import level_field, program_page, reward_page
from tests.integration.http.caller import Caller

REVIEW = "loyalty/publishedversion/review"


def cost(till: Till) -> int:
    live = live_document(till.program.pk)
    assert live is not None
    return int(live["rewards"][0]["cost"])


def live_version(till: Till) -> int:
    return Program.objects.get(pk=till.program.pk).version


def test_a_review_shows_what_differs_and_what_may_not_be_meant(marketer: Marketer, till: Till):
    till.member(balance=60)
    marketer.save(reward_page(till, "five-off"), cost="5000")
    marketer.save(program_page(till), **{level_field(marketer, till, "silver", "threshold"): "20"})
    words = text_of(marketer.open(f"{REVIEW}/{till.program.pk}/"))
    assert "2 changes of Corner shop" in words
    assert "Tier levels changed silver, from 250.00 → becomes 20.00" in words
    assert "Rewards changed five-off, cost 50 → becomes 5,000" in words
    assert "Nobody can afford its 5,000 points: the most that a member has is 60." in words


def test_a_reward_of_an_empty_pool_is_warned_of(marketer: Marketer, till: Till):
    changes = {"gives": "code_from_pool", "what": "cinema"}
    marketer.save(reward_page(till, "five-off"), **changes)
    warning = "The pool cinema has no code to give"
    assert warning in text_of(marketer.open(f"{REVIEW}/{till.program.pk}/"))
    list(load_codes(till.program.pk, "cinema", ["OLD,2017-01-01"]))
    assert warning in text_of(marketer.open(f"{REVIEW}/{till.program.pk}/"))
    list(load_codes(till.program.pk, "cinema", ["NEW"]))
    assert warning not in text_of(marketer.open(f"{REVIEW}/{till.program.pk}/"))


def test_the_version_keeps_who_and_why(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    assert "This field is required" in text_of(marketer.publish(till.program, reason=""))
    marketer.publish(till.program, reason="Cheaper in spring")
    live = till.program.versions.all()[0]
    assert (live.version, live.published_by, live.reason) == (
        2,
        f"admin:{marketer.user.username}",
        "Cheaper in spring",
    )
    history = f"loyalty/publishedversion/?program__id__exact={till.program.pk}"
    words = text_of(marketer.open(history))
    assert "Reward five-off, cost: 50 → 45" in words
    assert "Cheaper in spring" in words


def test_colleagues_are_called_by_their_names(marketer: Marketer, till: Till):
    marketer.user.first_name, marketer.user.last_name = "Marta", "Weber"
    marketer.user.save()
    marketer.save(reward_page(till, "five-off"), cost="45")
    assert "Last edited by Marta Weber" in text_of(marketer.open(reward_page(till, "five-off")))
    review = f"{REVIEW}/{till.program.pk}/"
    assert "The draft was last edited by Marta Weber" in text_of(marketer.open(review))
    marketer.publish(till.program)
    live = till.program.versions.all()[0]
    compare = f"loyalty/publishedversion/compare/{till.program.pk}/"
    history = f"loyalty/publishedversion/?program__id__exact={till.program.pk}"
    page = f"loyalty/publishedversion/{live.pk}/change/"
    for address in (review, program_page(till), compare, history, page):
        words = text_of(marketer.open(address))
        assert "Marta Weber" in words and marketer.user.username not in words, address


def test_what_was_not_reviewed_is_not_published(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    opened = marketer.fields(f"{REVIEW}/{till.program.pk}/")
    marketer.save(reward_page(till, "five-off"), cost="1")
    sent = {**opened, "reason": "It is time.", "when": "now"}
    page = marketer.client.post(f"/admin/{REVIEW}/{till.program.pk}/", sent)
    assert f"{marketer.user.username} (in the admin) has edited the draft since" in text_of(page)
    assert live_version(till) == 1


def test_a_plan_by_the_programs_clock(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    page = marketer.publish(till.program, when="later", at="")
    assert "Say on which day and at which time." in text_of(page)
    page = marketer.publish(till.program, when="later", at="2020-01-01T06:00")
    assert "This time is past" in text_of(page)
    page = marketer.publish(till.program, when="later", at="2099-07-01T06:00")
    assert "Will be published Wed 1 July 2099, 06:00 (America/New_York)" in text_of(page)
    plan = scheduling.waiting(till.program)
    assert plan is not None
    assert plan.publish_at == datetime(2099, 7, 1, 10, tzinfo=UTC)
    marketer.save(reward_page(till, "mug"), cost="9")
    words = text_of(marketer.open(program_page(till)))
    assert "will not happen: the draft was edited after it was planned" in words
    assert scheduling.publish_due(now=plan.publish_at + timedelta(seconds=1)) == 1
    assert "did not happen" in text_of(marketer.open("loyalty/reward/"))
    assert live_version(till) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2027-03-14T02:30", "There is no such time that day: clocks go forward to 03:30."),
        ("soon", "Say on which day and at which time."),
    ],
)
def test_times_that_there_are_not(text: str, said: str):
    with pytest.raises(ValueError, match=said[:20]) as found:
        local_time(text, "America/New_York")
    assert str(found.value) == said


def test_a_time_that_the_clock_shows_twice_is_the_first():
    assert local_time("2026-11-01T01:30", "America/New_York").astimezone(UTC).hour == 5


def test_a_plan_is_cancelled(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    marketer.publish(till.program, when="later", at="2099-07-01T06:00")
    path = f"/admin/loyalty/publishedversion/cancel/{till.program.pk}/"
    assert marketer.client.get(path).status_code == 405
    page = marketer.client.post(path, follow=True)
    assert "is cancelled" in text_of(page)
    assert scheduling.waiting(till.program) is None


def test_a_discarded_draft_is_what_is_live(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    path = f"loyalty/publishedversion/discard/{till.program.pk}/"
    assert "five-off, cost 50 → becomes 45" in text_of(marketer.open(path))
    page = marketer.client.post(f"/admin/{path}", follow=True)
    assert "is what is live" in text_of(page)
    assert Reward.objects.get(program=till.program, code="five-off").cost == 50


def test_going_back_is_a_new_version_and_keeps_todays_stock(marketer: Marketer, till: Till):
    card = till.member(balance=100)
    marketer.save(reward_page(till, "five-off"), cost="45")
    marketer.save(reward_page(till, "mug"), stock="12")
    marketer.publish(till.program)
    till.redeem(card, reward="mug")
    first = till.program.versions.get(version=1)
    page = f"loyalty/publishedversion/{first.pk}/roll-back/"
    assert "five-off, cost 45 → becomes 50" in text_of(marketer.open(page))
    marketer.save(page, reason="Too cheap")
    live = till.program.versions.all()[0]
    assert (live.version, live.restores, live.reason, cost(till)) == (3, 1, "Too cheap", 50)
    stock = RewardStock.objects.get(program_id=till.program.pk, reward="mug")
    assert (stock.total, stock.remaining) == (12, 11)
    words = text_of(marketer.open("loyalty/publishedversion/"))
    assert "Back to version 1. Too cheap" in words


def test_any_two_versions_and_the_draft_are_compared(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    marketer.publish(till.program)
    marketer.save(reward_page(till, "five-off"), cost="40")
    path = f"loyalty/publishedversion/compare/{till.program.pk}/"
    assert "five-off, cost 50 → becomes 45" in text_of(marketer.open(path))
    assert "cost 40 → becomes 50" in text_of(marketer.open(f"{path}?from=draft&to=1"))
    assert marketer.open(f"{path}?from=9").status_code == 404
    assert marketer.open(f"{path}?from=x").status_code == 404


def test_who_saves_what_somebody_else_changed_meanwhile_is_told(marketer: Marketer, till: Till):
    opened = marketer.fields(reward_page(till, "five-off"))
    marketer.save(reward_page(till, "five-off"), cost="45")
    path = f"/admin/{reward_page(till, 'five-off')}"
    page = marketer.client.post(path, {**opened, "name": "Five off", "_save": "Save"})
    words = text_of(page)
    assert (
        f"{marketer.user.username} (in the admin) has changed this while you were editing" in words
    )
    assert "cost: 50 → 45" in words
    assert Reward.objects.get(program=till.program, code="five-off").name == "$5 off"
    assert 'value="Five off"' in page.content.decode()


def saved_late(marketer: Marketer, till: Till, opened: dict[str, Any], **change: str) -> str:
    """Save what was opened before others changed it; give what is said of that."""
    sent = {**opened, "name": "Five off", "_save": "Save", **change}
    page = marketer.client.post(f"/admin/{reward_page(till, 'five-off')}", sent)
    said: str = page.context["adminform"].form.non_field_errors()[0]
    return said.split(" while you were editing")[0]


def changed_by_key(till: Till, **change: Any) -> None:
    answer = Caller(till.program.pk).call("PATCH", "/v1/rewards/five-off", change)
    assert answer.status_code == 200


def test_a_key_that_changed_it_meanwhile_is_named(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    opened = marketer.fields(reward_page(till, "five-off"))
    changed_by_key(till, cost=40)
    assert saved_late(marketer, till, opened) == "API key tests has changed this"


def test_nobody_is_named_where_a_key_was_one_of_several(marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    opened = marketer.fields(reward_page(till, "five-off"))
    changed_by_key(till, cost=40)
    marketer.save(reward_page(till, "mug"), cost="12")
    assert saved_late(marketer, till, opened) == "Somebody has changed this"


def test_who_saved_it_and_changed_nothing_is_not_named(
    marketer: Marketer, colleague: Marketer, till: Till
):
    User.objects.filter(pk=colleague.user.pk).update(is_superuser=True)
    opened = marketer.fields(reward_page(till, "five-off"))
    colleague.save(reward_page(till, "five-off"), cost="45")
    marketer.save(reward_page(till, "five-off"))
    marketer.save(reward_page(till, "mug"), cost="12")
    name = f"{colleague.user.username} (in the admin)"
    assert saved_late(marketer, till, opened) == f"{name} has changed this"


@pytest.mark.parametrize("carried", ["null", "x", "[]", '{"row": {}, "revision": "1"}'])
def test_a_page_that_carries_nonsense_overwrites_nothing(
    marketer: Marketer, till: Till, carried: str
):
    opened = marketer.fields(reward_page(till, "five-off"))
    assert "has changed this" in saved_late(marketer, till, opened, seen=carried)
    assert Reward.objects.get(program=till.program, code="five-off").name == "$5 off"


def test_two_at_the_programs_page(marketer: Marketer, till: Till):
    opened = marketer.fields(program_page(till))
    field = level_field(marketer, till, "silver", "threshold")
    marketer.save(program_page(till), **{field: "20"})
    page = marketer.client.post(f"/admin/{program_page(till)}", {**opened, "_save": "Save"})
    assert "Tier level silver, from: 250 → 20" in text_of(page)


def test_who_may_edit_may_not_always_publish(colleague: Marketer, marketer: Marketer, till: Till):
    marketer.save(reward_page(till, "five-off"), cost="45")
    path = f"{REVIEW}/{till.program.pk}/"
    assert colleague.open(path).status_code == 403
    colleague.user.user_permissions.add(Permission.objects.get(codename="view_publishedversion"))
    assert "Your group may not publish" in text_of(colleague.open(path))
    sent = {"revision": "1", "reason": "because", "when": "now"}
    assert colleague.client.post(f"/admin/{path}", sent).status_code == 403
    discard = f"/admin/loyalty/publishedversion/discard/{till.program.pk}/"
    assert colleague.client.post(discard).status_code == 403
    first = till.program.versions.get()
    back = f"/admin/loyalty/publishedversion/{first.pk}/roll-back/"
    assert colleague.client.post(back, {"reason": "x"}).status_code == 403
