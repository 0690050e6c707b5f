"""A browser of the admin, which notices what should not happen."""

import time
from dataclasses import dataclass, field

from playwright.sync_api import Locator, Page, Request

PHONE = {"width": 390, "height": 800}
DRAWN = "document.fonts.ready.then(() => new Promise(requestAnimationFrame))"


@dataclass
class Desk:
    """A marketer's browser, which notices what should not happen."""

    page: Page
    home: str
    under_way: set[Request] = field(default_factory=set)
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> "Desk":
        """Note requests to other hosts, and whatever the console complains of."""
        self.page.on("request", self._note_request)
        for ended in ("requestfinished", "requestfailed"):
            self.page.on(ended, lambda request: self.under_way.discard(request))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(error.stack or str(error)))
        return self

    def _note_request(self, request: Request) -> None:
        self.under_way.add(request)
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.strangers.append(request.url)

    def open(self, path: str) -> None:
        """Open a page of the admin, and let it settle."""
        answer = self.page.goto(f"{self.home}/admin/{path}")
        assert answer is not None and answer.status == 200, (path, answer and answer.status)
        self.settle()

    def save(self) -> None:
        """Press the form's main button."""
        self.follow(self.page.get_by_role("button", name="Save", exact=True))

    def follow(self, leads: Locator) -> None:
        """Click what leads to another page, and let that one settle."""
        with self.page.expect_navigation(wait_until="load"):
            leads.click()
        self.settle()

    def settle(self) -> None:
        """Wait until all that the page asks for is there, and it is drawn.

        Playwright's own `networkidle` waits half a second more, for each page.
        """
        until = time.monotonic() + 30
        self.page.wait_for_load_state()
        while self.under_way:
            asked = [request.url for request in self.under_way]
            assert time.monotonic() < until, asked
            self.page.wait_for_timeout(5)
        self.page.evaluate(DRAWN)

    def is_fine(self) -> bool:
        """Tell whether nothing left the host and nothing complained."""
        assert not self.strangers, self.strangers
        assert not self.complaints, self.complaints
        return True
