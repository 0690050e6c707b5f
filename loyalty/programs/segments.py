"""Which parts of a program name a segment. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]


def naming(document: Mapping[str, Any], segment: str, *, today: str) -> list[str]:
    """List what is on and names a segment, in words: `earning rule early-birds`.

    What is switched off or over needs it no more: codes stay for ever, and with them such rules
    would keep each segment that they ever named.

    Args:
        document: Of a program, checked or not.
        today: In the program's zone, as an ISO date.
    """
    return [words for words, named in _named(document, today) if segment in named]


def _named(document: Mapping[str, Any], today: str) -> Iterator[tuple[str, Sequence[str]]]:
    for rule in _on(document.get("earning_rules"), today):
        yield f"earning rule {rule['code']}", _of_rule(rule)
    for campaign in _on(document.get("campaigns"), today):
        for rule in _on(campaign.get("rules"), today):
            yield f"rule {rule['code']} of campaign {campaign['code']}", _of_rule(rule)
    for reward in _on(document.get("rewards"), today):
        named = [*(reward.get("segments") or ()), *(reward.get("not_in_segments") or ())]
        yield f"reward {reward['code']}", named


def _on(entries: Sequence[Entry] | None, today: str) -> list[Entry]:
    return [
        entry
        for entry in entries or ()
        if entry.get("active", True) and str(entry.get("to") or today) >= today
    ]


def _of_rule(rule: Entry) -> list[str]:
    when = rule.get("when") or {}
    return [*(when.get("segment") or ()), *(when.get("not_in_segment") or ())]
