"""Who did something, as colleagues know them; the ledger has the names that commands ran under."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.contrib.auth.models import User
from django.http import HttpRequest

from loyalty.http.auth import PEOPLE

KEYS: Final = "api:"
"""Begins the names of API keys where commands of a shell, too, change what they change."""


def colleague(request: HttpRequest) -> str:
    """Give the name under which a colleague at the admin does something."""
    return f"{PEOPLE}{request.user.get_username()}"[:100]


def named(actor: str) -> str:
    """Name one actor."""
    return actors_named([actor])[actor]


def actors_named(actors: Iterable[str]) -> dict[str, str]:
    """Name colleagues by what they are called, in one query; API keys keep their names.

    A colleague who is not called anything, or has left, is named by what they logged in with.
    """
    found = set(actors)
    logins = {actor: actor.removeprefix(PEOPLE) for actor in found if actor.startswith(PEOPLE)}
    users = User.objects.filter(username__in=logins.values()) if logins else ()
    called = {user.username: user.get_full_name() for user in users}
    people = {
        actor: called.get(login) or f"{login} (in the admin)" for actor, login in logins.items()
    }
    return {actor: people.get(actor) or _key_named(actor) for actor in found}


def _key_named(actor: str) -> str:
    return f"API key {actor.removeprefix(KEYS)}" if actor.startswith(KEYS) else actor


def name_actors(rows: Sequence[dict[str, Any]]) -> None:
    """Name who did what rows of a statement tell of, also where their explanations say who.

    Args:
        rows: Each with its `actor`, and perhaps `why` as `words.explanation` gives it.
    """
    told = [fact for row in rows for _, fact in row.get("why", {}).get("facts", ())]
    people = (fact for fact in told if fact.startswith(PEOPLE))
    named = actors_named([*(row["actor"] for row in rows), *people])
    for row in rows:
        row["actor"] = named[row["actor"]]
        if "why" in row:
            facts = [(name, named.get(fact, fact)) for name, fact in row["why"]["facts"]]
            row["why"] = {**row["why"], "facts": facts}
