"""GET /docs/errors, to which the `type` of every problem document points."""

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from loyalty.errors import LoyaltyError, all_errors

PAGE: Final = Path(__file__).parents[2] / "docs" / "errors.md"
ADVICE: Final = {
    "never": "Sending it again does not help: change the request.",
    "same_key": "Send the same request again, with the same Idempotency-Key.",
    "new_key": "This answer is kept under its Idempotency-Key: use a new key to ask again.",
}
STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1.1rem;margin:2rem 0 .3rem}p{margin:.3rem 0}code{font-size:.95em}"
    "h2+p{font-weight:600}h2:target{outline:2px solid;outline-offset:.3rem}"
)


@require_safe
def errors_page(request: HttpRequest) -> HttpResponse:
    """GET /docs/errors."""
    return HttpResponse(_page())


@lru_cache(maxsize=1)
def _page() -> str:
    """Write the page, once per process: it changes with the code only."""
    said = _sections()
    entries = "".join(
        _entry(error, said.get(error.code, ""))
        for error in sorted(all_errors(), key=lambda error: error.code)
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Errors</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>Errors</h1>{entries}</body></html>"
    )


def _sections() -> dict[str, str]:
    """Read what the documentation says of each code; nothing, where it was not installed."""
    if not PAGE.exists():
        return {}
    _, *parts = re.split(r"^### `(\w+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [re.split(r"^#", part, maxsplit=1, flags=re.MULTILINE)[0] for part in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def _entry(error: type[LoyaltyError], text: str) -> str:
    return (
        f'<h2 id="{error.code}"><code>{error.code}</code> ({error.status})</h2>'
        f"<p>{escape(error.title)}</p>{_html(text)}<p>{ADVICE[error.retry]}</p>"
    )


def _html(text: str) -> str:
    """Turn paragraphs into HTML; links lead to files that are not served, so their words stay."""
    written = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", escape(text))
    written = re.sub(
        r"`([^`]+)`", r"<code>\1</code>", re.sub(r"\*([^*]+)\*", r"<em>\1</em>", written)
    )
    return "".join(f"<p>{part.strip()}</p>" for part in written.split("\n\n") if part.strip())
