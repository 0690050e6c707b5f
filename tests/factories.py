"""Programs and tills for tests: everything happens through the engine, never by hand.

    till = open_till(points={"clawback": "write_off"})
    till.enrol("2261")
    till.earn("2261", "order-1", "12.00").points         # the answer's fields are attributes
    till.redeem("2261", points=5).status == 201

Data is committed, as in production: programs and cards get codes of their own instead of being
rolled back.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest
from django.db import connection
from django.test.utils import setup_databases

from loyalty.engine.commands import Command, Kind
from loyalty.engine.run import run
from loyalty.http.auth import Principal
from loyalty.http.ids import decode_id
from loyalty.members import adjustments
from loyalty.members import services as members
from loyalty.members.schemas import AdjustRequest, EnrolRequest, UpdateMember, UpdateRequest
from loyalty.orders import desired, returns
from loyalty.orders import services as orders
from loyalty.orders.schemas import (
    EarnRequest,
    PutOrder,
    PutOrderRequest,
    ReturnOrder,
    ReturnRequest,
)
from loyalty.programs.models import Program
from loyalty.programs.services import apply_document
from loyalty.rewards import services as rewards
from loyalty.rewards import settling
from loyalty.rewards.schemas import (
    CaptureRedemption,
    CaptureRequest,
    RedeemRequest,
    RedemptionId,
    ReverseRedemption,
    ReverseRequest,
    VoidRedemption,
    VoidRequest,
)

STORE = "309"


def unique(prefix: str = "p") -> str:
    """Make a code that nobody else uses."""
    return f"{prefix}{secrets.token_hex(5)}"


def program_document(**changes: Any) -> dict[str, Any]:
    """Describe a small shop: 1 point per dollar, silver from 250.00, three rewards."""
    points = {"name": "points", "expiry": "none", **changes.pop("points", {})}
    return {
        "program": unique(),
        "name": "Corner shop",
        "timezone": "America/New_York",
        "currency": "USD",
        "points": points,
        "stores": [{"code": STORE, "name": "Main Street"}, {"code": "310", "name": "Station"}],
        "earning_rules": [
            {"code": "base", "points": 1, "per": "1.00"},
            {"code": "double-produce", "multiply": "2", "when": {"category": ["PRODUCE"]}},
        ],
        "tiers": {
            "qualify_by": "spend",
            "window": {"rolling_months": 12},
            "levels": [
                {"code": "bronze", "from": "0"},
                {"code": "silver", "from": "250.00", "earn_multiplier": "2"},
            ],
            "downgrade": "one_level",
            "grace_days": 30,
        },
        "rewards": [
            {"code": "five-off", "name": "$5 off", "cost": 50, "gives": {"amount_off": "5.00"}},
            {"code": "mug", "name": "Mug", "cost": 10, "gives": {"product": "mug"}, "stock": 5},
            {"code": "massage", "name": "Massage", "cost": 1, "gives": {"custom": "massage-30"}},
        ],
        **changes,
    }


@dataclass(frozen=True)
class Reply:
    """An answer of the engine; fields of its body are attributes."""

    status: int
    body: dict[str, Any]
    replayed: bool
    raw: bytes

    def __getattr__(self, name: str) -> Any:
        try:
            return self.body[name]
        except KeyError:
            raise AttributeError(f"{name} is not in {self.body}") from None


def line(name: str, amount: str, quantity: str = "1", **more: Any) -> dict[str, Any]:
    """Describe a line of an order."""
    return {"line": name, "sku": f"sku-{name}", "quantity": quantity, "amount": amount, **more}


@dataclass
class Till:
    """A till of one program; `key` names a command, so that the same one can be sent twice."""

    program: Program
    document: dict[str, Any]
    principal: Principal
    ids: dict[str, str] = field(default_factory=dict)

    # What a till can say. Each returns a command; `send` runs it.

    def command(self, kind: Kind, payload: Any, *said: Any, key: str | None = None) -> Command:
        """Make a command with a key of its own, and a hash of what was said."""
        told = hashlib.sha256(f"{kind.name} {said}".encode()).digest()
        return Command(kind, payload, key=key or unique("k"), request_hash=told, request_id="test")

    def enrolling(self, card: str, *, key: str | None = None) -> Command:
        """Enrol a member with a card."""
        body = {"identifiers": [{"type": "card", "value": card}]}
        return self.command(members.ENROL, EnrolRequest.model_validate(body), body, key=key)

    def earning(
        self,
        card: str,
        ref: str,
        amount: str = "10.00",
        *,
        lines: Sequence[dict[str, Any]] | None = None,
        at: datetime | None = None,
        key: str | None = None,
        **order: Any,
    ) -> Command:
        """Record an order, of one line unless told."""
        body = {
            "member": f"card:{card}",
            "order": {
                "ref": ref,
                "store": STORE,
                "occurred_at": (at or database_time()).isoformat(),
                "currency": self.document["currency"],
                "lines": list(lines) if lines is not None else [line("1", amount)],
                **order,
            },
        }
        payload = EarnRequest.model_validate_json(json.dumps(body))
        return self.command(orders.EARN, payload, body, key=key)

    def putting(
        self,
        card: str,
        ref: str,
        revision: int,
        lines: Sequence[dict[str, Any]],
        *,
        state: str = "paid",
        at: datetime | None = None,
        key: str | None = None,
    ) -> Command:
        """Say what an order is now."""
        body = {
            "member": f"card:{card}",
            "revision": revision,
            "order": {
                "store": STORE,
                "occurred_at": (at or database_time()).isoformat(),
                "currency": self.document["currency"],
                "lines": list(lines),
                "state": state,
            },
        }
        payload = PutOrder(ref, PutOrderRequest.model_validate_json(json.dumps(body)))
        return self.command(desired.PUT_ORDER, payload, ref, body, key=key)

    def returning(
        self,
        order: str,
        ref: str,
        lines: dict[str, str] | None = None,
        *,
        at: datetime | None = None,
        store: str | None = STORE,
        key: str | None = None,
        **more: str,
    ) -> Command:
        """Take lines of an order back: how much of which; one of line 1 unless told."""
        back = [{"line": name, "quantity": q} for name, q in (lines or {"1": "1"}).items()]
        when = (at or database_time()).isoformat()
        body = {"ref": ref, "occurred_at": when, "lines": back, **more}
        payload = ReturnOrder(order, store, ReturnRequest.model_validate_json(json.dumps(body)))
        return self.command(returns.RETURN, payload, order, body, key=key)

    def redeeming(self, card: str, *, key: str | None = None, **body: Any) -> Command:
        """Redeem a reward or points; `capture=False` makes a hold."""
        body = {"member": f"card:{card}", **body}
        return self.command(rewards.REDEEM, RedeemRequest.model_validate(body), body, key=key)

    def capturing(
        self, redemption: str, points: int | None = None, *, key: str | None = None
    ) -> Command:
        """Capture a hold."""
        payload = CaptureRedemption(redemption_of(redemption), CaptureRequest(points=points))
        return self.command(settling.CAPTURE, payload, redemption, points, key=key)

    def voiding(self, redemption: str, *, key: str | None = None) -> Command:
        """Void a hold."""
        payload = VoidRedemption(redemption_of(redemption), VoidRequest())
        return self.command(settling.VOID, payload, redemption, key=key)

    def reversing(
        self, redemption: str, points: int | None = None, *, key: str | None = None
    ) -> Command:
        """Give points of a redemption back."""
        body = ReverseRequest(reason="changed their mind", points=points)
        payload = ReverseRedemption(redemption_of(redemption), body)
        return self.command(settling.REVERSE, payload, redemption, points, key=key)

    def adjusting(
        self, card: str, points: int, *, ends: datetime | None = None, key: str | None = None
    ) -> Command:
        """Change points by hand."""
        body: dict[str, Any] = {"member": f"card:{card}", "points": points, "reason": "goodwill"}
        if ends is not None:
            body["expires_at"] = ends.isoformat()
        payload = AdjustRequest.model_validate_json(json.dumps(body))
        return self.command(adjustments.ADJUST, payload, body, key=key)

    def freezing(self, card: str, status: str = "frozen", *, key: str | None = None) -> Command:
        """Freeze a member, or make them active again."""
        body = UpdateRequest.model_validate({"status": status})
        payload = UpdateMember(("card", card), body)
        return self.command(members.UPDATE, payload, card, status, key=key)

    # Saying it

    def send(self, *commands: Command) -> list[Reply]:
        """Run commands together, as a batch does."""
        answers = run(commands, principal=self.principal)
        return [Reply(a.status, orjson.loads(a.body), a.replayed, a.body) for a in answers]

    def __getattr__(self, name: str) -> Any:
        """Say one thing and give its reply: `earn` sends what `earning` makes, and so on."""
        if name not in SAYS:
            raise AttributeError(name)
        make = getattr(self, SAYS[name])
        return lambda *args, **more: self.send(make(*args, **more))[0]

    def member(self, balance: int = 0, **given: Any) -> str:
        """Enrol a new member with so many points; return the card."""
        card = unique("c")
        self.ids[card] = self.enrol(card).id
        if balance:
            assert self.adjust(card, balance, **given).status == 201
        return card

    def again(self, **changes: Any) -> None:
        """Publish the program with changes; what is not named stays."""
        self.document = {**self.document, **changes}
        apply_document(self.document, actor="tests")


SAYS = {
    "enrol": "enrolling",
    "earn": "earning",
    "put": "putting",
    "take_back": "returning",
    "redeem": "redeeming",
    "capture": "capturing",
    "void": "voiding",
    "reverse": "reversing",
    "adjust": "adjusting",
    "freeze": "freezing",
}


def open_till(**changes: Any) -> Till:
    """Publish a new program and stand at one of its tills."""
    document = program_document(**changes)
    program = apply_document(document, actor="tests")
    principal = Principal(
        key_id=int(secrets.token_hex(6), 16),
        program_id=program.pk,
        name="till",
        scopes=frozenset(),
    )
    return Till(program, document, principal)


def redemption_of(text: str) -> RedemptionId:
    """Read the public id of a redemption."""
    found = decode_id("rdm", text)
    assert found is not None, text
    return RedemptionId(*found)


def database_time() -> datetime:
    """Ask PostgreSQL what time it is, as the engine does."""
    return rows("SELECT clock_timestamp()")[0][0]


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []


def balance_of(member_id: str) -> dict[str, int]:
    """Read a wallet as it is stored."""
    names = ("pending", "available", "held", "debt", "lifetime_earned", "seq")
    found = rows(f"SELECT {', '.join(names)} FROM loyalty_wallet WHERE member_id = %s", member_id)
    return dict(zip(names, found[0], strict=True))


def database_dsn() -> dict[str, Any]:
    """Say how to reach the tests' database with a connection of one's own."""
    found = connection.get_connection_params()
    kept = ("dbname", "user", "password", "host", "port")
    return {name: found[name] for name in kept if name in found}


def connect() -> "psycopg.Connection[Any]":
    """Open another connection to the tests' database, in autocommit."""
    return psycopg.connect(**database_dsn(), autocommit=True)


# The clock. The engine asks PostgreSQL for the time; a schema before pg_catalog answers instead.

CLOCK = """
CREATE SCHEMA IF NOT EXISTS testclock;
CREATE OR REPLACE FUNCTION testclock.clock_timestamp() RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('loyalty.test_clock', true), '')::timestamptz,
        pg_catalog.clock_timestamp())
$$;
"""


class Clock:
    """Time as this connection's PostgreSQL tells it: it stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.set(now)

    def set(self, now: datetime) -> None:
        """Make it this moment."""
        self.now = now.astimezone(UTC)
        rows("SELECT set_config('loyalty.test_clock', %s, false)", self.now.isoformat())

    def move(self, by: Any) -> None:
        """Let time pass."""
        self.set(self.now + by)


def install_clock() -> None:
    """Make this connection ask the schema `testclock` for the time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(309)")  # two at once would both create it
        cursor.execute(CLOCK)
        cursor.execute("SELECT pg_advisory_unlock(309)")
        cursor.execute("SET search_path = testclock, pg_catalog, public")


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Return a clock of the database that stands still; the engine believes it."""
    install_clock()
    yield Clock(datetime(2027, 1, 15, 12, 0, tzinfo=UTC))
    connection.close()


def make_database() -> None:
    """Make the database where pytest-django did not: it wants its mark, which rolls back."""
    if not connection.settings_dict["NAME"].startswith("test_"):
        setup_databases(verbosity=0, interactive=False, aliases={"default"})


@pytest.fixture(autouse=True)
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let tests commit: a command begins and commits its own transaction."""
    with django_db_blocker.unblock():
        make_database()
        yield
