"""Say in a few lines what differs between two versions of a program. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

_NOTHING = "-"


def describe_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """List what changed, one line each: "rewards five-off cost: 500 -> 450".

    Args:
        before: The canonical document of the earlier version; None before the first.
    """
    if before is None:
        return ["first version"]
    return list(_changes("", before, after))


def _changes(place: str, before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _changed_keys(place, before, after)
    elif _is_coded(before) and _is_coded(after):
        yield from _changed_keys(place, _by_code(before), _by_code(after))
        if sorted(_by_code(before)) == sorted(_by_code(after)) and list(_by_code(before)) != list(
            _by_code(after)
        ):
            yield f"{place}: other order"
    else:
        yield f"{place}: {_shown(before)} -> {_shown(after)}"


def _changed_keys(place: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in [*after, *(key for key in before if key not in after)]:
        where = f"{place} {key}".strip()
        if key not in after and _is_entry(before[key]):
            yield f"{where}: removed"
        elif key not in before and _is_entry(after[key]):
            yield f"{where}: added"
        else:
            yield from _changes(where, before.get(key), after.get(key))


def _is_entry(value: object) -> bool:
    return isinstance(value, Mapping) and "code" in value


def _is_coded(value: object) -> bool:
    return isinstance(value, list) and all(_is_entry(item) for item in value)


def _by_code(entries: Any) -> dict[str, Any]:
    return {entry["code"]: entry for entry in entries}


def _shown(value: object) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or _NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)
