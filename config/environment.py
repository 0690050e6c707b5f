"""Reads settings from the environment, and says in one sentence what is wrong with one.

Where a variable is not set, what a running `make run` wrote to LOYALTY_HOME is used, so that
`manage.py` works beside it without any variable.
"""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from environ import Env
from psycopg.conninfo import make_conninfo

BASE_DIR = Path(__file__).resolve().parent.parent

# Tools that only read the code (makemigrations, mypy, the contract) need no servers and no secrets.
OFFLINE = bool(os.environ.get("LOYALTY_OFFLINE"))
_PLACEHOLDERS = {
    "DATABASE_URL": "postgres://offline@127.0.0.1:1/offline",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "offline-" * 8,
    "LOYALTY_PEPPER": "offline-" * 8,
}

_env = Env()


def loyalty_home() -> Path:
    """Return the folder of everything that a `make run` keeps: data, logs, secrets."""
    return Path(os.environ.get("LOYALTY_HOME") or BASE_DIR / ".local").expanduser().resolve()


def text(name: str, default: str) -> str:
    """Return a variable as it is."""
    return os.environ.get(name) or default


def number(name: str, default: float, low: float, high: float) -> float:
    """Return a number between low and high."""
    raw = os.environ.get(name) or str(default)
    try:
        value = float(raw)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ImproperlyConfigured(
            f"{name} is {raw!r}; set it to a number from {low:g} to {high:g}, "
            f"or leave it out for {default:g}."
        )
    return value


def integer(name: str, default: int, low: int, high: int) -> int:
    """Return a whole number between low and high."""
    value = number(name, default, low, high)
    if value != int(value):
        raise ImproperlyConfigured(f"{name} is {value:g}; set it to a whole number.")
    return int(value)


def switch(name: str, default: bool) -> bool:
    """Return a variable that is on or off."""
    raw = (os.environ.get(name) or ("on" if default else "off")).lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; set it to on or off.")


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed words."""
    raw = os.environ.get(name) or default
    if raw not in allowed:
        raise ImproperlyConfigured(f"{name} is {raw!r}; set it to one of {', '.join(allowed)}.")
    return raw


def words(name: str, default: list[str]) -> list[str]:
    """Return a list that is separated by commas."""
    return _env.list(name, default=default) if os.environ.get(name) else default


def hosts(name: str, default: list[str]) -> list[str]:
    """Return host names: with a scheme or a port, none would ever match."""
    found = words(name, default)
    for host in found:
        if "/" in host or (":" in host and not host.endswith("]")):
            raise ImproperlyConfigured(
                f"{name} has {host!r}; give names alone, with commas between them, as in "
                "loyalty.example.com."
            )
    return found


def origins(name: str) -> list[str]:
    """Return addresses with their scheme: without it, none would ever match."""
    found = words(name, default=[])
    for origin in found:
        if not origin.startswith(("https://", "http://")):
            raise ImproperlyConfigured(
                f"{name} has {origin!r}; each needs its scheme, as in https://loyalty.example.com."
            )
    return found


def secret(name: str) -> str:
    """Return a secret of at least 32 characters."""
    value = _configured(name)
    if len(value) < 32:
        raise ImproperlyConfigured(
            f"{name} has {len(value)} characters and needs at least 32; make one with "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(48))'` and keep it."
        )
    return value


def fernet_keys(name: str) -> list[str]:
    """Return keys of 32 bytes each in URL-safe base64, by commas; none at all is possible."""
    keys = words(name, default=[])
    if not keys and (kept := _services().get("crm_secrets_key")):
        keys = [kept]
    for key in keys:
        try:
            length = len(base64.urlsafe_b64decode(key))
        except ValueError:
            length = 0
        if length != 32:
            raise ImproperlyConfigured(
                f"{name} must be 32 bytes in URL-safe base64 each, with commas between them; make "
                "one with `python3 -c 'import base64, os; "
                "print(base64.urlsafe_b64encode(os.urandom(32)).decode())'` and keep it."
            )
    return keys


def database() -> dict[str, Any]:
    """Return DATABASE_URL as Django's dictionary; only PostgreSQL is possible."""
    url = _configured("DATABASE_URL")
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgres://user:password@host:5432/name; "
            "the ledger runs on PostgreSQL 15 or newer only."
        )
    try:
        parsed: dict[str, Any] = Env.db_url_config(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {error}.") from None
    if not parsed.get("NAME"):
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; it must end in /name, as in postgres://user:password@host:5432/loyalty."
        )
    try:
        make_conninfo(**parsed.get("OPTIONS", {}))
    except psycopg.Error as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL says something behind its ? that PostgreSQL's client does not know: "
            f"{error}."
        ) from None
    return parsed


def redis_url() -> str:
    """Return REDIS_URL, of Redis or Valkey."""
    url = _configured("REDIS_URL")
    if not url.startswith(("redis://", "rediss://")):
        raise ImproperlyConfigured(
            "REDIS_URL must look like redis://host:6379/0 (or rediss:// for TLS)."
        )
    parts = urlsplit(url)
    try:
        fits = parts.port != 0 and re.fullmatch(r"/?[0-9]*", parts.path)
    except ValueError:
        fits = False
    if not fits:
        raise ImproperlyConfigured(
            "REDIS_URL must end in a port and the number of a database, as in redis://host:6379/0."
        )
    return url


def base_url(port: int) -> str:
    """Return where commands find the API: at PORT here, or where a running `make run` has it."""
    known = "" if os.environ.get("PORT") else _services().get("base_url", "")
    return known or f"http://127.0.0.1:{port}"


def _configured(name: str) -> str:
    value = os.environ.get(name) or _services().get(name.lower().removeprefix("loyalty_"))
    if value:
        return value
    if OFFLINE:
        return _PLACEHOLDERS[name]
    raise ImproperlyConfigured(
        f"{name} is not set and no `make run` is up in {loyalty_home()}: start `make run`, "
        f"or set DATABASE_URL, REDIS_URL, SECRET_KEY and LOYALTY_PEPPER."
    )


def _services() -> dict[str, str]:
    path = loyalty_home() / "services.json"
    try:
        content: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error}): stop `make run` and start it again."
        ) from None
    return content
