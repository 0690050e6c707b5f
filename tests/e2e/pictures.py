"""`make pictures`: take the pictures of the guide anew, from a demo that `make run` runs.

Chromium opens the pages as colleagues of each group would, on a desk, in light and dark, and on a
phone; each picture is for somebody to look at. Where `pngquant` is installed they become small.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs a loop in this thread
django.setup()

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

from crm_sync.models import Connection  # noqa: E402
from loyalty.members.models import AdjustmentRequest, Segment  # noqa: E402
from loyalty.nightly.models import NightlyRun  # noqa: E402
from loyalty.orders.models import Order  # noqa: E402
from loyalty.programs.models import Campaign, EarningRule, Reward  # noqa: E402
from tests.e2e.pictured_demo import PASSWORD, PEOPLE, Demo, enter, fill, spoil_profiles  # noqa: E402

FOLDER = Path("docs/images")
DESK, PHONE = (1280, 840), (390, 780)


class Album:
    """Colleagues' browsers, and the pictures that they take."""

    def __init__(self, browser: Browser, demo: Demo) -> None:
        self.browser, self.demo = browser, demo
        self._logged_in = {name: self._log_in(name) for name in PEOPLE}

    def _log_in(self, name: str) -> Any:
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(f"{self.demo.url}/admin/")
        page.fill("#id_username", name)
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login/" not in url)
        state = context.storage_state()
        context.close()
        return state

    @contextmanager
    def desk(
        self, who: str, size: tuple[int, int] = DESK, scheme: Any = "light"
    ) -> Iterator["Desk"]:
        """Open a colleague's browser."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            storage_state=self._logged_in[who],
            is_mobile=size[0] < 500,
        )
        yield Desk(context.new_page(), self.demo.url)
        context.close()


class Desk:
    """A page of the admin in a browser, and a camera before it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, path: str) -> "Desk":
        """Open a page and let it settle."""
        answer = self.page.goto(f"{self.url}/admin/{path}")
        assert answer is not None and answer.status == 200, (path, answer and answer.status)
        return self.settle()

    def settle(self) -> "Desk":
        """Wait until all is there."""
        self.page.wait_for_load_state("networkidle")
        return self

    def take(self, name: str, *, tall: int = 0, at: str = "") -> None:
        """Take a picture, from a part of the page on where one is named.

        Args:
            tall: So many pixels high instead of the window's height.
            at: A selector of what is to stand at the top.
        """
        if tall and self.page.viewport_size:
            width = self.page.viewport_size["width"]
            self.page.set_viewport_size({"width": width, "height": tall})
        if at:
            self.page.locator(at).first.evaluate("part => part.scrollIntoView({block: 'start'})")
        self.settle().snap(name)

    def snap(self, name: str) -> None:
        """Take a picture of what is there at this moment."""
        self.page.mouse.move(0, 0)
        file = FOLDER / f"{name}.png"
        self.page.screenshot(path=file, animations="disabled")
        _make_small(file)
        print(f"{file} {file.stat().st_size:,} bytes")


def _make_small(file: Path) -> None:
    if tool := shutil.which("pngquant"):
        subprocess.run([tool, "--force", "--output", str(file), str(file)], check=True)


def overviews(album: Album) -> None:
    """The first page, and a member, as they look everywhere."""
    member = f"loyalty/member/{album.demo.members[3].pk}/change/"
    with album.desk("ada") as desk:
        desk.open("").take("admin")
        desk.open(member).take("admin_member")
        desk.open("loyalty/apikey/add/").take("admin_key", tall=560)
    with album.desk("ada", scheme="dark") as desk:
        desk.open("").take("admin_dark")
        desk.open(member).take("admin_member_dark")
    with album.desk("simon", PHONE, "dark") as desk:
        desk.open(member).take("admin_phone")


def programs(album: Album) -> None:
    """What a marketer edits."""
    rule = EarningRule.objects.get(program=album.demo.program, code="happy-hour")
    reward = Reward.objects.get(program=album.demo.program, code="cinema")
    campaign = Campaign.objects.get(program=album.demo.program)
    with album.desk("marta") as desk:
        desk.open("loyalty/earningrule/").take("admin_rules", tall=560)
        desk.open(f"loyalty/earningrule/{rule.pk}/change/")
        desk.take("admin_rule", tall=1300)
        desk.open(f"loyalty/reward/{reward.pk}/change/").take("admin_reward", tall=1100)
        program = f"loyalty/program/{album.demo.program.pk}/change/"
        desk.open(program).take("admin_tiers", tall=1320, at="h2:has-text('How members rise')")
        desk.open("loyalty/campaign/").take("admin_campaigns", tall=480)
        desk.open(f"loyalty/campaign/{campaign.pk}/change/").take("admin_campaign", tall=1500)
        desk.open("loyalty/codepool/").take("admin_codes", tall=420)
    with album.desk("marta", PHONE) as desk:
        desk.open(f"loyalty/earningrule/{rule.pk}/change/")
        desk.take("admin_rule_phone", tall=1300, at=".ly-sentence")


def sets(album: Album) -> None:
    """Segments and what is uploaded."""
    segment = Segment.objects.get(program_id=album.demo.program.pk, code="wine-lovers")
    with album.desk("marta") as desk:
        desk.open(f"loyalty/segment/{segment.pk}/change/").take("admin_segment", tall=560)
        desk.page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
        desk.open("loyalty/codepool/upload/?pool=cinema")
        codes = "\n".join(f"NEW-{number:06d}" for number in range(100_000))
        file = {"name": "codes.txt", "mimeType": "text/plain", "buffer": codes.encode()}
        desk.page.set_input_files("#id_file", files=[file])
        desk.page.get_by_role("button", name="Upload", exact=True).click()
        expect(desk.page.locator("#upload-told")).to_contain_text("of 100,000", timeout=60_000)
        desk.snap("admin_upload")
        told = desk.page.locator("#upload-told")
        expect(told).to_contain_text("Done.", timeout=300_000)
        print(told.inner_text())


def trials(album: Album) -> None:
    """A draft that is reviewed, tried and compared."""
    program = album.demo.program.pk
    with album.desk("marta", (1280, 900)) as desk:
        page = desk.page
        desk.open(f"loyalty/publishedversion/review/{program}/").take("admin_review", tall=1180)
        desk.open(f"loyalty/backtest/preview/?program={program}")
        page.locator("[name=l-0-category]").fill("PRODUCE")
        page.locator("[name=l-0-amount]").fill("42.00")
        page.locator("[name=member]").fill(album.demo.card(3))
        page.locator("[name=at]").fill(f"{_quiet_afternoon(album.demo.today)}T15:00")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator(".ly-cards").first).to_be_visible()
        desk.take("admin_preview", tall=1300, at=".ly-cards")
        desk.open(f"loyalty/backtest/add/?program={program}")
        page.get_by_role("button", name="Run the backtest").click()
        simulated = page.get_by_text("What is simulated, and what is not")
        expect(simulated).to_be_visible(timeout=600_000)
        desk.take("admin_backtest", tall=1040)
        address = page.url
    with album.desk("marta", PHONE, "dark") as desk:
        desk.page.goto(address)
        desk.take("admin_backtest_phone", tall=1100)
    with album.desk("marta", scheme="dark") as desk:
        desk.open(f"loyalty/publishedversion/review/{program}/")
        desk.take("admin_review_dark", tall=1000)


def _quiet_afternoon(today: date) -> date:
    """Choose a day that is over, in the campaign, and one on which *Quiet afternoons* counts."""
    return next(day for back in range(1, 7) if (day := today - timedelta(days=back)).weekday() < 4)


def service(album: Album) -> None:
    """Two who look at an adjustment, a merge, a night."""
    one, other = (album.demo.members[place].pk for place in (6, 7))
    with album.desk("simon") as desk:
        page = desk.page
        desk.open(f"loyalty/member/{one}/change/")
        page.get_by_role("link", name="Adjust points").click()
        page.fill("#id_points", "500")
        page.fill("#id_reason", "The truck came a week late")
        page.get_by_role("button", name="Adjust").click()
        expect(page.get_by_text("waits for a second person")).to_be_visible()
        desk.take("admin_waiting")
        desk.open(f"loyalty/member/{one}/change/")
        page.get_by_role("link", name="Merge", exact=True).click()
        page.fill("#id_into", str(other))
        page.get_by_role("button", name="Merge").click()
        expect(page.locator("#id_sure")).to_be_visible()
        desk.take("admin_merge", tall=560)
    asked = AdjustmentRequest.objects.filter(member_id=one, state="open").latest("requested_at")
    with album.desk("fiona") as desk:
        desk.open(f"loyalty/adjustmentrequest/{asked.pk}/change/")
        desk.page.fill("#id_reason", "Checked with the shop")
        desk.take("admin_approval", tall=620)
        night = NightlyRun.objects.filter(program_id=album.demo.program.pk).latest("day")
        desk.open(f"loyalty/nightlyrun/{night.pk}/change/").take("admin_night", tall=900)


def returns(album: Album) -> None:
    """What support sees before an order is returned."""
    newest = Order.objects.filter(program_id=album.demo.program.pk, state="paid", clawed_back=0)
    order = next(one for one in newest.order_by("-id") if len(one.lines) == 4 and one.points > 20)
    with album.desk("simon") as desk:
        page = desk.open(f"loyalty/order/{order.pk}/return/").page
        page.get_by_label("How many of line 1", exact=True).fill(order.lines[0]["quantity"])
        page.fill("#id_ref", "R-2214")
        page.fill("#id_reason", "Broken on arrival")
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_role("button", name="Return", exact=True)).to_be_visible()
        desk.take("admin_return", tall=1000)


def connections(album: Album) -> None:
    """What goes to CRMs, and what differs there."""
    klaviyo = Connection.objects.filter(adapter="klaviyo").latest("pk")
    spoil_profiles()
    with album.desk("ada") as desk:
        page = desk.page
        desk.open(f"crm_sync/connection/{klaviyo.pk}/compare/")
        page.get_by_role("button", name="Compare").click()
        desk.settle()
        for _ in range(120):
            desk.open(f"crm_sync/connection/{klaviyo.pk}/change/")
            if re.search(r"done: [\d,]+ compared", page.content()):
                break
            page.wait_for_timeout(1000)
        desk.take("admin_connection", tall=1300, at="h2:has-text('Health')")
        desk.open("crm_sync/connection/").take("admin_connections", tall=420)
        desk.open("crm_sync/drift/").take("admin_drift", tall=520)
        desk.open("crm_sync/delivery/").take("admin_deliveries", tall=620)


def sandboxes(album: Album) -> None:
    """What a CRM of the demo shows of a member."""
    with album.desk("ada", (1200, 900)) as desk:
        desk.page.goto(album.demo.crm_pages["klaviyo"])
        desk.page.locator("summary").first.click()
        desk.take("crm_sandbox")


def main() -> None:
    """Fill the demo and take every picture; or those of some chapters, of a demo that is full."""
    demo, wanted = enter(), sys.argv[1:]
    if not wanted:
        fill(demo)
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=arguments
        )
        album = Album(browser, demo)
        chapters = (overviews, programs, sets, trials, service, returns, sandboxes, connections)
        for chapter in chapters:
            if not wanted or chapter.__name__ in wanted:
                chapter(album)
        browser.close()


if __name__ == "__main__":
    main()
