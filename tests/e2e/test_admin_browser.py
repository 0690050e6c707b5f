"""A marketer's day in a real browser: change the program, make a key, help a member."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.desk import PHONE, Desk
from tests.factories import program_document, unique
from tests.stack import Stack

pytestmark = pytest.mark.browser


@pytest.fixture
def program(live_stack: Stack, tmp_path: Path) -> str:
    """Return the code of a program of the test's own."""
    document = program_document(name="Browser shop")
    path = tmp_path / "program.json"
    path.write_text(json.dumps(document))
    live_stack.manage("program", "apply", str(path))
    return str(document["program"])


@pytest.fixture
def desk(live_stack: Stack, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Return a browser whose user has logged in; light unless told otherwise."""
    name = unique("marta")
    named = ("--username", name, "--email", "marta@example.com")
    live_stack.manage("createsuperuser", "--noinput", *named, DJANGO_SUPERUSER_PASSWORD="pw-marta")
    context = browser.new_context(color_scheme=getattr(request, "param", "light"))
    yield log_in(Desk(context.new_page(), live_stack.url).watch(), name)
    context.close()


def log_in(desk: Desk, name: str) -> Desk:
    desk.open("")
    desk.page.fill("#id_username", name)
    desk.page.fill("#id_password", "pw-marta")
    desk.follow(desk.page.locator("button[type=submit]"))
    assert "/login/" not in desk.page.url
    return desk


def colleague(stack: Stack, group: str) -> str:
    """Make a user of the admin who may do what the group may, and no more; return the name."""
    name = unique(group.lower())
    if not stack.sql("SELECT 1 FROM auth_group WHERE name = %s", group):
        stack.manage("create_groups")
    named = ("--username", name, "--email", f"{name}@example.com")
    stack.manage("createsuperuser", "--noinput", *named, DJANGO_SUPERUSER_PASSWORD="pw-marta")
    stack.sql("UPDATE auth_user SET is_superuser = false WHERE username = %s", name)
    stack.sql(
        "INSERT INTO auth_user_groups (user_id, group_id)"
        " SELECT u.id, g.id FROM auth_user u, auth_group g WHERE u.username = %s AND g.name = %s",
        name,
        group,
    )
    return name


def id_of(stack: Stack, program: str) -> int:
    return int(stack.sql("SELECT id FROM loyalty_program WHERE code = %s", program)[0][0])


def enrol(stack: Stack, key: str, card: str, points: int) -> str:
    with stack.client(key) as client:
        body = {"identifiers": [{"type": "card", "value": card}]}
        new = client.post("/v1/members", json=body, headers={"Idempotency-Key": unique()})
        given = {"member": f"card:{card}", "points": points, "reason": "start"}
        client.post("/v1/adjustments", json=given, headers={"Idempotency-Key": unique()})
    return str(new.json()["id"])


def test_a_marketers_day(live_stack: Stack, desk: Desk, program: str):
    key = live_stack.api_key(program)
    card = unique("c")
    member = enrol(live_stack, key, card, 40)

    a_rule_with_conditions(live_stack, desk, program, key, card)
    a_campaign_with_two_rules(live_stack, desk, program, key)
    change_a_threshold(live_stack, desk, program)
    change_a_cost(live_stack, desk, program)
    upload_codes(live_stack, desk, program)
    with live_stack.client(key) as client:
        taken = {"member": f"card:{card}", "reward": "five-off"}
        answer = client.post("/v1/redeem", json=taken, headers={"Idempotency-Key": unique()})
        assert (answer.status_code, answer.json()["points"]) == (201, 35)
        order = {
            "ref": unique("o"),
            "store": "309",
            "occurred_at": live_stack.sql("SELECT now()")[0][0].isoformat(),
            "currency": "USD",
            "lines": [{"line": "1", "sku": "1", "quantity": "1", "amount": "20.00"}],
        }
        earned = {"member": f"card:{card}", "order": order}
        answer = client.post("/v1/earn", json=earned, headers={"Idempotency-Key": unique()})
        assert answer.json()["tier"]["code"] == "silver"

    assert_key_is_shown_once(live_stack, desk, program, card)
    adjust_points(live_stack, desk, member)
    assert desk.is_fine()


def lower_silver(stack: Stack, desk: Desk, program: str) -> None:
    desk.open(f"loyalty/program/{id_of(stack, program)}/change/")
    rows = desk.page.locator("input[name$='-threshold']")
    silver = next(row for row in rows.all() if row.input_value() == "250")
    silver.fill("20")
    desk.save()


def change_a_threshold(stack: Stack, desk: Desk, program: str) -> None:
    lower_silver(stack, desk, program)
    desk.follow(desk.page.get_by_role("link", name="Review and publish").first)
    expect(desk.page.get_by_text("silver, from")).to_be_visible()
    expect(desk.page.locator("ins", has_text="20.00")).to_be_visible()
    publish(desk, "Silver sooner")


def publish(desk: Desk, reason: str) -> None:
    desk.page.fill("#id_reason", reason)
    desk.follow(desk.page.get_by_role("button", name="Publish", exact=True))
    expect(desk.page.get_by_text(re.compile(r"Version \d+ is live\."))).to_be_visible()


def write_a_rule(stack: Stack, desk: Desk, program: str) -> None:
    """Write a rule with two conditions as a sentence."""
    page = desk.page
    desk.open("loyalty/earningrule/add/")
    page.select_option("#id_program", str(id_of(stack, program)))
    page.fill("#id_code", "dairy-bonus")
    page.select_option("#id_kind", "bonus")
    page.fill("#id_bonus", "7")
    page.select_option(".ly-add", "category")
    page.fill("#id_category", "DAIRY")
    page.select_option(".ly-add", "order_amount_min")
    page.fill("#id_order_amount_min", "5.00")
    sentence = page.locator(".ly-sentence")
    expect(sentence).to_contain_text("For purchases in category DAIRY from 5.00")
    expect(sentence).to_contain_text("7 points.")
    desk.save()


def a_rule_with_conditions(stack: Stack, desk: Desk, program: str, key: str, card: str) -> None:
    """Write a rule, publish it, and earn by it at a till."""
    page = desk.page
    write_a_rule(stack, desk, program)
    desk.open(f"loyalty/publishedversion/review/{id_of(stack, program)}/")
    expect(page.get_by_text("7 points, in category DAIRY, from 5.00 USD")).to_be_visible()
    publish(desk, "Dairy sells badly")
    assert points_for(stack, key, card, amount="6.00", category="DAIRY") == 13
    assert points_for(stack, key, card, amount="4.00", category="DAIRY") == 4


def a_campaign_with_two_rules(stack: Stack, desk: Desk, program: str, key: str) -> None:
    """Write a campaign of two rules, take one out again, and earn by the other at a till."""
    page = desk.page
    card = unique("c")
    enrol(stack, key, card, 1)
    desk.open("loyalty/campaign/add/")
    page.select_option("#id_program", str(id_of(stack, program)))
    fill = {"name": "Spring", "code": "spring", "budget_points": "30"}
    days = {"starts_on": "2017-03-01", "ends_on": "2199-03-31"}
    for name, value in {**fill, **days}.items():
        page.fill(f"#id_{name}", value)
    first = page.locator("[data-rule=rules-0]")
    first.locator("[name=rules-0-code]").fill("visit")
    first.locator("[name=rules-0-kind]").select_option("bonus")
    first.locator("[name=rules-0-bonus]").fill("20")
    page.get_by_role("button", name="Add a rule").click()
    second = page.locator("[data-rule=rules-1]")
    second.locator("[name=rules-1-code]").fill("mistake")
    second.locator(".ly-add").select_option("category")
    second.locator("[name=rules-1-category]").fill("DAIRY")
    expect(second.locator(".ly-sentence")).to_contain_text("For purchases in category DAIRY")
    second.get_by_role("button", name="Take this rule out").click()
    desk.save()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    desk.open(f"loyalty/publishedversion/review/{id_of(stack, program)}/")
    expect(page.get_by_text("at most 30 points in all; visit: 20 points")).to_be_visible()
    publish(desk, "Spring is here")
    given = [points_for(stack, key, card, amount="1.00", category="X") for _ in range(2)]
    assert given == [21, 11]
    desk.open("loyalty/campaign/")
    expect(page.get_by_text("30 of 30").first).to_be_visible()


def points_for(stack: Stack, key: str, card: str, *, amount: str, category: str) -> int:
    line = {"line": "1", "sku": "1", "quantity": "1", "amount": amount, "category": category}
    order = {
        "ref": unique("o"),
        "store": "309",
        "occurred_at": stack.sql("SELECT now()")[0][0].isoformat(),
        "currency": "USD",
        "lines": [line],
    }
    with stack.client(key) as client:
        earned = {"member": f"card:{card}", "order": order}
        answer = client.post("/v1/earn", json=earned, headers={"Idempotency-Key": unique()})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["points"])


def open_reward(stack: Stack, desk: Desk, program: str) -> None:
    reward = stack.sql(
        "SELECT id FROM loyalty_reward WHERE program_id = %s AND code = 'five-off'",
        id_of(stack, program),
    )[0][0]
    desk.open(f"loyalty/reward/{reward}/change/")


def change_a_cost(stack: Stack, desk: Desk, program: str) -> None:
    open_reward(stack, desk, program)
    desk.page.fill("#id_cost", "0")
    desk.save()
    expect(desk.page.get_by_text("Must be at least 1.")).to_be_visible()
    desk.page.fill("#id_cost", "35")
    desk.save()
    desk.open(f"loyalty/publishedversion/review/{id_of(stack, program)}/")
    expect(desk.page.locator("ins", has_text="35")).to_be_visible()
    publish(desk, "A bargain")


def upload_codes(stack: Stack, desk: Desk, program: str) -> None:
    """Send 6,000 codes in two pieces, one of them twice, and see how far it is."""
    codes = "\n".join([*(f"C-{n}" for n in range(6000)), "C-1", "not a code"])
    desk.open("loyalty/codepool/upload/")
    desk.page.select_option("[name=program]", str(id_of(stack, program)))
    desk.page.fill("[name=pool]", "cinema")
    file = {"name": "codes.txt", "mimeType": "text/plain", "buffer": codes.encode()}
    desk.page.set_input_files("#id_file", files=[file])
    desk.page.get_by_role("button", name="Upload", exact=True).click()
    told = "6,002 of 6,002 lines: 6,000 added, 1 known already, 1 unreadable. Done."
    expect(desk.page.locator("#upload-told")).to_have_text(told, timeout=60_000)
    expect(desk.page.locator("#upload-problems li")).to_have_text(
        "line 6002: a code has 1 to 100 characters and no spaces"
    )


def assert_key_is_shown_once(stack: Stack, desk: Desk, program: str, card: str) -> None:
    page = desk.page
    desk.open("loyalty/apikey/add/")
    page.fill("#id_name", "Till 7")
    page.select_option("#id_program", str(id_of(stack, program)))
    desk.save()
    key = page.locator("#new-key").inner_text()
    assert re.fullmatch(r"lyk_\w{12}_\w{43}", key)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    with stack.client(key) as client:
        assert client.get(f"/v1/members/card:{card}").status_code == 200
    page.reload()
    desk.settle()
    assert key not in page.content()


def adjust_points(stack: Stack, desk: Desk, member: str) -> None:
    page = desk.page
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    desk.open(f"loyalty/member/{member}/change/")
    page.get_by_role("link", name="Adjust points").click()
    page.get_by_label("Take points").check()
    page.fill("#id_points", "1000")
    page.fill("#id_reason", "Mistake at the till")
    page.get_by_role("button", name="Adjust").click()
    expect(page.get_by_text("1000 points are needed")).to_be_visible()
    page.get_by_label("Give points").check()
    page.fill("#id_points", "1000")
    page.get_by_role("button", name="Adjust").dblclick()
    # Which of the two answers is seen, or both, depends on how far apart the clicks were.
    expect(page.get_by_text(re.compile("adjusted|already done")).first).to_be_visible()
    found = stack.sql(
        "SELECT sum(points) FROM loyalty_ledgertransaction WHERE member_id = %s"
        " AND kind = 'adjust' AND source = 'admin'",
        member,
    )
    assert int(found[0][0]) == 1000
    expect(page.get_by_text("“Mistake at the till”")).to_be_visible()


PAGES = (
    "",
    "loyalty/member/",
    "loyalty/ledgertransaction/",
    "loyalty/order/",
    "loyalty/redemption/",
    "loyalty/outboxevent/",
    "loyalty/program/",
    "loyalty/program/add/",
    "loyalty/earningrule/",
    "loyalty/earningrule/add/",
    "loyalty/campaign/",
    "loyalty/campaign/add/",
    "loyalty/reward/",
    "loyalty/reward/add/",
    "loyalty/store/",
    "loyalty/codepool/",
    "loyalty/codepool/upload/",
    "loyalty/segment/",
    "loyalty/segment/upload/",
    "loyalty/backtest/",
    "loyalty/nightlyrun/",
    "loyalty/adjustmentrequest/",
    "loyalty/publishedversion/",
    "loyalty/apikey/",
    "loyalty/apikey/add/",
    "auth/user/",
    "crm_sync/connection/",
    "crm_sync/connection/add/",
    "crm_sync/delivery/",
    "crm_sync/drift/",
    "crm_sync/inboxmessage/",
    "crm_sync/source/",
    "crm_sync/source/add/",
)


# What is dark differs by a class only: no page is asked for twice.
WIDEST = """
() => Math.max(...[1, 2].map(() => {
    document.documentElement.classList.toggle("dark")
    return document.documentElement.scrollWidth
}))
"""


@pytest.mark.parametrize("desk", ["dark"], indirect=True)
def test_every_page_fits_a_phone(live_stack: Stack, desk: Desk, program: str):
    key = live_stack.api_key(program)
    member = enrol(live_stack, key, unique("c"), 10)
    shown = [f"loyalty/member/{member}/change/?show={name}" for name in ("lots", "rewards")]
    shop = id_of(live_stack, program)
    forms = [f"loyalty/program/{shop}/change/"]
    an_empty_form_leads_to_what_is_missing(desk)
    forms += [
        f"loyalty/publishedversion/{name}/{shop}/" for name in ("review", "discard", "compare")
    ]
    desk.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    too_wide = []
    for path in (*PAGES, *shown, *forms):
        desk.open(path)
        assert "dark" in str(desk.page.locator("html").get_attribute("class")), path
        if desk.page.evaluate(WIDEST) > PHONE["width"]:
            too_wide.append(path)
    assert not too_wide
    desk.open("loyalty/outboxevent/")
    first = desk.page.locator("#result_list .data-row").first.locator(":scope > *").first
    expect(first).to_have_attribute("data-label", "Recorded (UTC)")
    assert desk.is_fine()


def an_empty_form_leads_to_what_is_missing(desk: Desk) -> None:
    desk.open("loyalty/store/add/")
    desk.save()
    note = desk.page.locator(".errornote")
    expect(note).to_contain_text("To be corrected:")
    expect(desk.page.locator("#content [aria-invalid=true]").first).to_be_focused()
    note.get_by_role("link", name="Name").click()
    expect(desk.page.locator("#id_name")).to_be_focused()
