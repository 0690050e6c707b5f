"""A support agent's day in a real browser: find a member, explain an award, four eyes, a merge."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.desk import PHONE, Desk
from tests.e2e.test_admin_browser import colleague, log_in
from tests.factories import line, program_document, unique
from tests.stack import Stack

pytestmark = pytest.mark.browser

IMAGES = os.environ.get("SUPPORT_IMAGES", "")
"""A folder for the pictures of the guide; none are taken unless it is named."""


def picture(desk: Desk, name: str) -> None:
    if IMAGES:
        desk.page.screenshot(path=str(Path(IMAGES) / f"{name}.png"))


def desk_of(stack: Stack, browser: Browser, group: str, width: int = 1180) -> Desk:
    context = browser.new_context(viewport={"width": width, "height": 860})
    return log_in(Desk(context.new_page(), stack.url).watch(), colleague(stack, group))


def find(desk: Desk, term: str) -> None:
    desk.open("loyalty/member/")
    desk.page.get_by_label("Find a member").fill(term)
    desk.follow(desk.page.get_by_role("button", name="Find", exact=True))
    assert term not in desk.page.url


@pytest.mark.parametrize("width", [PHONE["width"], 1180])
def test_an_order_is_returned_once_after_a_look_at_it(
    live_stack: Stack, browser: Browser, tmp_path: Path, width: int
):
    path, card = tmp_path / "program.yaml", unique("c")
    document = program_document()
    path.write_text(json.dumps(document))
    live_stack.manage("program", "apply", str(path))
    lines = [line("1", "30.00", "3", category="DAIRY"), line("2", "5.00")]
    key = live_stack.api_key(str(document["program"]))
    with live_stack.client(key) as client:
        named = [{"type": "card", "value": card}]
        client.post("/v1/members", json={"identifiers": named}, headers=keyed())
        when = live_stack.sql("SELECT now()")[0][0].isoformat()
        order = {"ref": card, "channel": "web", "occurred_at": when, "currency": "USD"}
        earned = {"member": f"card:{card}", "order": {**order, "lines": lines}}
        assert client.post("/v1/earn", json=earned, headers=keyed()).json()["points"] == 35

    desk = desk_of(live_stack, browser, "Support", width)
    page = desk.page
    found = live_stack.sql("SELECT id FROM loyalty_order WHERE ref = %s", card)
    desk.open(f"loyalty/order/{found[0][0]}/change/")
    desk.follow(page.get_by_role("link", name="Return", exact=True))
    page.get_by_label("How many of line 1").fill("4")
    page.fill("#id_reason", "Broken on arrival")
    page.fill("#id_ref", "R 7")
    desk.follow(page.get_by_role("button", name="Preview"))
    expect(page.get_by_text("This has letters, digits and")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("#id_ref", "R-7")
    desk.follow(page.get_by_role("button", name="Preview"))
    expect(page.get_by_text("Line 1: 3 bought, 0 came back before.")).to_be_visible()
    page.get_by_label("How many of line 1").fill("2")
    desk.follow(page.get_by_role("button", name="Preview"))
    expect(page.get_by_text("2 of 3 came back; the line earned 30 points")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Return", exact=True).dblclick()
    expect(page.get_by_text(re.compile("return is recorded|already done")).first).to_be_visible()
    expect(page.get_by_text("2 of line 1 · “Broken on arrival”")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    with live_stack.client(key) as client:
        back = {"ref": "R-7", "occurred_at": when, "lines": [{"line": "1", "quantity": "2"}]}
        late = client.post(f"/v1/orders/{card}/returns", json=back, headers=keyed())
        assert (late.status_code, late.json()["clawed_back"]) == (200, 20)
    taken = "SELECT points FROM loyalty_ledgertransaction WHERE kind = 'claw_back' AND member_id"
    whose = "SELECT member_id FROM loyalty_order WHERE ref = %s"
    assert live_stack.sql(f"{taken} = ({whose})", card) == [(-20,)]
    assert desk.is_fine()
    page.context.close()


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": unique()}


def test_a_support_agents_day(live_stack: Stack, browser: Browser, tmp_path: Path):
    stack, card, other = live_stack, unique("c"), unique("c")
    path = tmp_path / "program.yaml"
    document = program_document(name="Corner shop", points={"adjustment_limit": 100})
    path.write_text(json.dumps(document))
    stack.manage("program", "apply", str(path))
    with stack.client(stack.api_key(str(document["program"]))) as client:

        def post(to: str, body: dict) -> dict:
            answer = client.post(to, json=body, headers={"Idempotency-Key": unique()})
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

        email = f"{card}@example.com"
        named = [{"type": "card", "value": card}, {"type": "email", "value": email}]
        post("/v1/members", {"identifiers": named, "profile": {"first_name": "Ada"}})
        post("/v1/members", {"identifiers": [{"type": "card", "value": other}]})
        order = {
            "ref": "receipt-77",
            "store": "309",
            "occurred_at": stack.sql("SELECT now()")[0][0].isoformat(),
            "currency": "USD",
            "lines": [{"line": "1", "sku": "1", "quantity": "1", "amount": "20.00"}],
        }
        post("/v1/earn", {"member": f"card:{card}", "order": order})

    ann, bob = desk_of(stack, browser, "Support"), desk_of(stack, browser, "Finance")
    find(ann, email[:9])
    ann.page.get_by_text("Why, and what moved").first.click()
    expect(ann.page.get_by_text("1 point per 1.00 USD of 20.00 USD")).to_be_visible()
    ask_for_points(ann)
    approve(bob)
    find(ann, card)
    expect(ann.page.get_by_text("“The truck came a week late”")).to_be_visible()
    expect(ann.page.locator(".ly-number").first).to_have_text("520")
    merge(ann, other)
    assert ann.is_fine() and bob.is_fine()
    for desk in (ann, bob):
        desk.page.context.close()


def ask_for_points(desk: Desk) -> None:
    page = desk.page
    page.get_by_role("link", name="Adjust points").click()
    page.get_by_label("Give points").check()
    page.fill("#id_points", "500")
    page.fill("#id_reason", "The truck came a week late")
    page.get_by_role("button", name="Adjust").click()
    expect(page.get_by_text("waits for a second person")).to_be_visible()
    picture(desk, "admin_waiting")
    desk.follow(page.get_by_role("link", name="Look at it"))
    expect(page.get_by_text("You asked for this yourself")).to_be_visible()
    assert page.get_by_role("button", name="Approve").count() == 0


def approve(desk: Desk) -> None:
    page = desk.page
    desk.open("loyalty/adjustmentrequest/")
    desk.follow(page.locator("#result_list a, table a").filter(has_text=":").first)
    page.fill("#id_reason", "Checked with the shop")
    picture(desk, "admin_approval")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("The adjustment is approved.")).to_be_visible()


def merge(desk: Desk, other: str) -> None:
    page = desk.page
    page.get_by_role("link", name="Merge", exact=True).click()
    page.fill("#id_into", other)
    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("520 points (0 pending, 0 owed)")).to_be_visible()
    picture(desk, "admin_merge")
    page.locator("#id_sure").check()
    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("The two are one member now.")).to_be_visible()
    page.get_by_role("link", name="another member").click()
    expect(page.locator(".ly-number").first).to_have_text("520")
