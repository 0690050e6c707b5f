"""A marketer in a real browser: changes a draft, tries it, publishes it, and a till obeys."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.desk import PHONE, Desk
from tests.e2e.test_admin_browser import (
    colleague,
    id_of,
    log_in,
    lower_silver,
    open_reward,
    publish,
    write_a_rule,
)
from tests.factories import program_document, unique
from tests.stack import Stack

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(live_stack: Stack, browser: Browser) -> Iterator[Desk]:
    """Return the browser of a colleague who may do what marketers may, and no more."""
    context = browser.new_context()
    desk = Desk(context.new_page(), live_stack.url).watch()
    yield log_in(desk, colleague(live_stack, "Marketer"))
    context.close()


@pytest.fixture
def program(live_stack: Stack, tmp_path: Path) -> str:
    """Return the code of a program that enrols whoever buys."""
    document = program_document(name="Trial shop", points={"unknown_member": "enrol"})
    path = tmp_path / "program.json"
    path.write_text(json.dumps(document))
    live_stack.manage("program", "apply", str(path))
    return str(document["program"])


def at_the_till(stack: Stack, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a till's call; return the answer."""
    with stack.client(key) as client:
        answer = client.post(path, json=body, headers={"Idempotency-Key": unique()})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def buy(stack: Stack, key: str, card: str, amount: str) -> dict[str, Any]:
    """Buy dairy products; return what the till is told."""
    order = {
        "ref": unique("o"),
        "store": "309",
        "occurred_at": stack.sql("SELECT now()")[0][0].isoformat(),
        "currency": "USD",
        "lines": [{"line": "1", "sku": "1", "amount": amount, "category": "DAIRY"}],
    }
    return at_the_till(stack, key, "/v1/earn", {"member": f"card:{card}", "order": order})


def picture(page: Page, name: str) -> None:
    """Keep a picture where somebody asks for it."""
    if folder := os.environ.get("TRIAL_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_marketer_tries_a_draft_and_a_till_obeys(live_stack: Stack, desk: Desk, program: str):
    key, ada, ben = live_stack.api_key(program), unique("a"), unique("b")
    for card, amount in ((ada, "120.00"), (ada, "40.00"), (ben, "15.00")):
        buy(live_stack, key, card, amount)

    write_a_rule(live_stack, desk, program)
    lower_silver(live_stack, desk, program)
    open_reward(live_stack, desk, program)
    desk.page.fill("#id_cost", "35")
    desk.save()
    preview_a_basket(desk, id_of(live_stack, program))
    run_a_backtest(live_stack, desk, id_of(live_stack, program))
    desk.open(f"loyalty/publishedversion/review/{id_of(live_stack, program)}/")
    expect(desk.page.get_by_text("7 points, in category DAIRY, from 5.00 USD")).to_be_visible()
    before = buy(live_stack, key, ben, "4.00")
    assert (before["points"], before["tier"]["code"]) == (4, "bronze")
    publish(desk, "Dairy sells badly")

    after = buy(live_stack, key, ben, "25.00")
    assert (after["points"], after["tier"]["code"]) == (32, "silver")
    taken = {"member": f"card:{ben}", "reward": "five-off"}
    assert at_the_till(live_stack, key, "/v1/redeem", taken)["points"] == 35
    assert desk.is_fine()


def preview_a_basket(desk: Desk, program: int) -> None:
    """See a newcomer's basket under the draft beside what is live."""
    page = desk.page
    desk.open(f"loyalty/backtest/preview/?program={program}")
    page.locator("[name=l-0-category]").fill("DAIRY")
    page.locator("[name=l-0-amount]").fill("25.00")
    desk.follow(page.get_by_role("button", name="Preview"))
    expect(page.get_by_text("the draft gives more")).to_be_visible()
    cards = page.locator(".ly-cards .ly-card")
    expect(cards.nth(0)).to_contain_text("25")
    expect(cards.nth(0)).to_contain_text("Bronze")
    expect(cards.nth(1)).to_contain_text("32")
    expect(cards.nth(1)).to_contain_text("Silver (rises)")
    picture(page, "preview")


def run_a_backtest(stack: Stack, desk: Desk, program: int) -> None:
    """Decide the orders that there are again, and read what it found, also on a phone."""
    page = desk.page
    desk.open(f"loyalty/backtest/add/?program={program}")
    page.fill("#id_end", stack.sql("SELECT now()::date + 1")[0][0].isoformat())
    page.get_by_role("button", name="Run the backtest").click()
    expect(page.get_by_text("What is simulated, and what is not")).to_be_visible(timeout=240_000)
    expect(page.get_by_text("175 → 236 (+34.9 %)")).to_be_visible()
    expect(page.get_by_text("2 gain, 0 lose, 0 the same")).to_be_visible()
    expect(page.locator(".ly-list li", has_text="bronze → silver")).to_have_count(1)
    picture(page, "backtest")

    desk.settle()
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.emulate_media(color_scheme="dark")
    page.reload()
    desk.settle()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, "backtest_phone")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert "total,,net,175,236,61" in Path(str(download.value.path())).read_text()
    page.set_viewport_size(size)
