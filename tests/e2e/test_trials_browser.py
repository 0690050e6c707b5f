"""A marketer tries a draft in a real browser: one basket, then the orders that there are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.factories import program_document, unique
from tests.stack import Stack

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 800}


@pytest.fixture
def page(live_stack: Stack, browser: Browser) -> Iterator[Page]:
    """Return a browser whose user has logged in."""
    name = unique("marta")
    named = ("--username", name, "--email", "marta@example.com")
    live_stack.manage("createsuperuser", "--noinput", *named, DJANGO_SUPERUSER_PASSWORD="pw-marta")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{live_stack.url}/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", "pw-marta")
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/login/" not in url)
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


def open_shop(stack: Stack, folder: Path) -> int:
    """Apply a program, let two members buy, and give the draft a better base rule."""
    document = program_document(name="Trial shop", points={"unknown_member": "enrol"})
    path = folder / "program.json"
    path.write_text(json.dumps(document))
    stack.manage("program", "apply", str(path))
    now = stack.sql("SELECT now()")[0][0].isoformat()
    with stack.client(stack.api_key(str(document["program"]))) as client:
        for card, amount in (("a", "120.00"), ("a", "40.00"), ("b", "15.00")):
            order = {
                "ref": unique("o"),
                "store": "309",
                "occurred_at": now,
                "currency": "USD",
                "lines": [{"line": "1", "sku": "1", "amount": amount, "category": "GROCERY"}],
            }
            body = {"member": f"card:{document['program']}{card}", "order": order}
            client.post("/v1/earn", json=body, headers={"Idempotency-Key": unique()})
    number = stack.sql("SELECT id FROM loyalty_program WHERE code = %s", document["program"])
    stack.sql(
        "UPDATE loyalty_earningrule SET points = 2 WHERE program_id = %s AND code = 'base'",
        number[0][0],
    )
    return int(number[0][0])


def picture(page: Page, name: str) -> None:
    """Keep a picture where somebody asks for it."""
    if folder := os.environ.get("TRIAL_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_marketer_tries_a_draft(live_stack: Stack, page: Page, tmp_path: Path):
    program = open_shop(live_stack, tmp_path)
    page.goto(f"{live_stack.url}/admin/loyalty/backtest/preview/?program={program}")
    page.get_by_label("Amount").first.fill("25.00")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("the draft gives more")).to_be_visible()
    expect(page.get_by_text("2 points per 1.00 USD of 25.00 USD")).to_be_visible()
    picture(page, "preview")

    page.goto(f"{live_stack.url}/admin/loyalty/backtest/add/?program={program}")
    today = live_stack.sql("SELECT now()::date + 1")[0][0].isoformat()
    page.fill("#id_end", today)
    page.get_by_role("button", name="Run the backtest").click()
    expect(page.get_by_text("What is simulated, and what is not")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("175 → 350 (+100.0 %)")).to_be_visible()
    expect(page.get_by_text("2 gain, 0 lose, 0 the same")).to_be_visible()
    picture(page, "backtest")

    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.emulate_media(color_scheme="dark")
    page.reload()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, "backtest_phone")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert "total,,net,175,350,175" in Path(str(download.value.path())).read_text()
