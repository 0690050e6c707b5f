"""`manage.py create_api_key`, as scripts and people use it."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from loyalty.http.auth import SCOPES, authenticate
from tests.factories import STORE, Till


def create(*arguments: str) -> list[str]:
    """Run the command; return the lines that it printed."""
    output = StringIO()
    call_command("create_api_key", *arguments, stdout=output)
    return output.getvalue().splitlines()


def test_json_stands_alone_on_the_last_line(till: Till) -> None:
    printed = create("--program", till.program.code, "--all-scopes", "--json")
    found = json.loads(printed[-1])
    assert set(found) == {"key", "id"}
    principal = authenticate(f"Bearer {found['key']}")
    assert str(principal.key_id) == found["id"]
    assert principal.program_id == till.program.pk
    assert principal.scopes == set(SCOPES)
    assert principal.stores is None


def test_a_key_may_be_bound_to_scopes_stores_and_a_rate(till: Till) -> None:
    chosen = ("--scopes", "earn, redeem", "--store", STORE, "--store", "310")
    limited = ("--name", "till 7", "--rate-limit", "600")
    printed = create("--program", till.program.code, *chosen, *limited)
    principal = authenticate(f"Bearer {printed[-1]}")
    assert principal.scopes == {"earn", "redeem"}
    assert principal.stores == {STORE, "310"}
    assert (principal.name, principal.rate_limit) == ("till 7", 600)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--program", "nobody", "--all-scopes"), "no program"),
        (("--scopes", "fly"), "Scopes are earn"),
        (("--scopes", ","), "Scopes are earn"),
        (("--all-scopes", "--name", "Admin:ann"), "cannot begin with admin:"),
        (("--all-scopes", "--store", "999"), "has no store 999"),
        ((), "one of the arguments"),
        (("--all-scopes", "--scopes", "earn"), "not allowed with"),
    ],
)
def test_a_mistake_is_one_sentence(till: Till, arguments: tuple[str, ...], sentence: str) -> None:
    program = () if "--program" in arguments else ("--program", till.program.code)
    with pytest.raises(CommandError, match=sentence):
        create(*program, *arguments)
