"""What differs between two documents of a program, in words and in groups. Pure.

The history of versions, the review before publishing and `program diff` all read the same list.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from loyalty.programs import sentences

MOST_IN_ORDER: Final = 8
"""A longer list is only said to be in another order."""

Kind = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        group: Under which heading it stands: "Rewards".
        code: Of the entry that differs; empty for the program itself.
        what: The key that differs, in words; empty where an entry came or went.
        before, after: The values, in words; of an entry that came, what it does.
    """

    group: str
    kind: Kind
    code: str = ""
    what: str = ""
    before: str = ""
    after: str = ""

    @property
    def place(self) -> str:
        """Name what differs, below its heading."""
        return ", ".join(filter(None, (self.code, self.what)))

    @property
    def news(self) -> str:
        """Say how it differs."""
        if self.kind == "changed":
            return f"{self.before} → {self.after}"
        if self.kind == "moved":
            return f"in another order{f': {self.after}' if self.after else ''}"
        return f"{self.kind}: {self.after or self.before}"

    def __str__(self) -> str:
        """Say all of it in one line: "Reward five-off, cost: 50 → 45"."""
        entry = f"{_ONE_OF.get(self.group, self.group)} {self.code}" if self.code else self.group
        return f"{', '.join(filter(None, (entry, self.what)))}: {self.news}"


@dataclass(frozen=True, slots=True)
class _Part:
    group: str
    path: tuple[str, ...]
    one: str


_PARTS: Final = (
    _Part("Earning rules", ("earning_rules",), "Earning rule"),
    _Part("Campaigns", ("campaigns",), "Campaign"),
    _Part("Tier levels", ("tiers", "levels"), "Tier level"),
    _Part("Rewards", ("rewards",), "Reward"),
    _Part("Stores", ("stores",), "Store"),
)
_ONE_OF: Final = {part.group: part.one for part in _PARTS}
_BLOCKS: Final = {"points": "How points behave", "tiers": "How members rise and fall"}
_LISTED: Final = {part.path[0] for part in _PARTS}


def describe_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """List what changed, one line each: "Reward five-off, cost: 500 → 450".

    Args:
        before: The canonical document of the earlier version; None before the first.
    """
    if before is None:
        return ["first version"]
    return [str(change) for change in changes(before, after)]


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Change]:
    """List what differs, in the order in which people think about a program.

    Args:
        before: None where nothing was published yet: all of it is new.
    """
    return list(_all_changes(before or {}, after))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """List what differs between two states of one entry."""
    return list(_of_entry("", before, after))


def grouped(found: list[Change]) -> dict[str, list[Change]]:
    """Put changes under their headings."""
    groups: dict[str, list[Change]] = {}
    for change in found:
        groups.setdefault(change.group, []).append(change)
    return groups


def review(found: list[Change]) -> str:
    """Write changes as a page of text: headings, and a line for each; empty without changes."""
    signs = {"added": "+", "removed": "-", "changed": "~", "moved": "~"}
    return "\n\n".join(
        "\n".join([group, *(f"  {signs[c.kind]} {_line(c)}" for c in those)])
        for group, those in grouped(found).items()
    )


def _line(change: Change) -> str:
    return f"{change.place}: {change.news}" if change.place else change.news


def _all_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    yield from _of_block("Program", _plain(before), _plain(after))
    for key, group in _BLOCKS.items():
        yield from _of_block(group, _block(before, key), _block(after, key))
    for part in _PARTS:
        lists = _list(before, part.path), _list(after, part.path)
        yield from _of_list(part.group, *lists, str(after.get("currency", "")))


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the program itself; a block that is not known here is shown as it is."""
    return {key: value for key, value in document.items() if key not in _LISTED | set(_BLOCKS)}


def _block(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in (document.get(key) or {}).items() if name != "levels"}


def _list(document: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    found: Any = document
    for key in path:
        found = (found or {}).get(key)
    return _by_code(found)


def _by_code(entries: Any) -> dict[str, Any]:
    return {entry["code"]: entry for entry in entries or ()}


def _of_list(
    group: str, before: dict[str, Any], after: dict[str, Any], currency: str
) -> Iterator[Change]:
    for code, entry in after.items():
        if code not in before:
            told = sentences.of_entry(group, entry, currency)
            yield Change(group, "added", code, after=told)
        else:
            yield from _of_entry(group, before[code], entry, code, currency)
    for code, entry in before.items():
        if code not in after:
            told = sentences.of_entry(group, entry, currency)
            yield Change(group, "removed", code, before=told)
    if [code for code in before if code in after] != [code for code in after if code in before]:
        order = ", ".join(after) if len(after) <= MOST_IN_ORDER else ""
        yield Change(group, "moved", after=order)


def _of_entry(
    group: str, before: Mapping[str, Any], after: Mapping[str, Any], code: str = "", money: str = ""
) -> Iterator[Change]:
    """Compare two states of an entry; the rules of a campaign one by one."""
    yield from _of_block(group, _without_rules(before), _without_rules(after), code)
    rules = _by_code(before.get("rules")), _by_code(after.get("rules"))
    for change in _of_list("Earning rules", *rules, money):
        rule = f"rule {change.code}" if change.code else "rules"
        what = ", ".join(filter(None, (rule, change.what)))
        yield replace(change, group=group, code=code, what=what)


def _without_rules(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "rules"}


def _of_block(
    group: str, before: Mapping[str, Any], after: Mapping[str, Any], code: str = "", above: str = ""
) -> Iterator[Change]:
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        name = f"{above} {sentences.key_in_words(key)}".strip()
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _of_block(group, old, new, code, name)
        else:
            shown = sentences.under_key(key, old), sentences.under_key(key, new)
            yield Change(group, "changed", code, name, *shown)
