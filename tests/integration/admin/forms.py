"""Fill in the admin's forms as a browser does: with what the page showed, and some changes."""

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import strip_tags


class _Fields(HTMLParser):
    """Collects the values of a page's fields, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._select = self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and "disabled" not in given:
            self._input(name, given)
        elif tag == "select":
            self._select = "" if "disabled" in given else name
        elif tag == "option" and self._select:
            if "selected" in given or self._select not in self.values:
                self.values[self._select] = given.get("value") or ""
        elif tag == "textarea":
            self._textarea = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] = data.strip()

    def _input(self, name: str, given: dict[str, str | None]) -> None:
        kind = given.get("type", "text")
        if kind in ("checkbox", "radio"):
            if "checked" in given:
                value = given.get("value") or "on"
                many = self.values.get(name)
                self.values[name] = [*many, value] if isinstance(many, list) else [value]
        elif kind not in ("submit", "button"):
            self.values[name] = given.get("value") or ""


@dataclass
class Marketer:
    """Somebody at the admin."""

    client: Client
    user: User

    def open(self, path: str) -> Any:
        """Open a page."""
        return self.client.get(f"/admin/{path}")

    def fields(self, path: str) -> dict[str, Any]:
        """Read what the page's forms hold."""
        page = self.open(path)
        assert page.status_code == 200, page.status_code
        found = _Fields()
        found.feed(page.content.decode())
        return found.values

    def save(self, path: str, **changes: Any) -> Any:
        """Open a form, change some fields, and save; follow to the next page."""
        values = {**self.fields(path), "_save": "Save", **changes}
        sent = {name: value for name, value in values.items() if value is not None}
        return self.client.post(f"/admin/{path}", sent, follow=True)

    def find(self, term: str) -> str:
        """Search for a member; give the page to which that leads."""
        page = self.client.post("/admin/loyalty/member/find/", {"term": term}, follow=True)
        text: str = page.content.decode()
        return text

    def publish(self, program: Any, reason: str = "It is time.", **changes: Any) -> Any:
        """Publish a program's draft on its review page."""
        page = f"loyalty/publishedversion/review/{program.pk}/"
        return self.save(page, reason=reason, **changes)


def text_of(page: Any) -> str:
    """Give a page's words, in one line."""
    return " ".join(unescape(strip_tags(page.content.decode())).split())


def words_of(page: Any) -> str:
    """Give a page's words, each apart from what stands beside it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.content.decode())).split())
