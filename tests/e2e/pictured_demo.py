"""Fill a running demo with what the pictures of the guide show; see tests/e2e/pictures.py."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import Group, User

from crm_sync.models import Connection
from loyalty.members.models import Member
from loyalty.nightly.services import run_night
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program
from loyalty.programs.selectors import document
from loyalty.programs.services import apply_document
from loyalty.rewards.pools import load_codes

PASSWORD = secrets.token_urlsafe(12)
PEOPLE = {"marta": "Marketer", "simon": "Support", "fiona": "Finance", "ada": "Administrator"}
NAMES = (
    *("Ava Rossi", "Ben Novak", "Clara Jensen", "David Okafor", "Emma Lind", "Farid Haddad"),
    *("Grace Kim", "Hugo Martin", "Ines Costa", "Jonas Weber", "Kira Ivanova", "Liam Byrne"),
    *("Maya Patel", "Noah Schmidt", "Olivia Brown", "Pavel Dvorak"),
)
_numbers = count(1)


class Demo:
    """The demo that `make run` started: what is live in it, and a till at it."""

    def __init__(self) -> None:
        told = json.loads((Path(settings.LOYALTY_HOME) / "demo.json").read_text())
        self.url: str = told["base_url"]
        self.crm_pages: dict[str, str] = told["crm_pages"]
        self.program = Program.objects.get(code="grocer")
        self.today = local_day(datetime.now(UTC), self.program.timezone)
        self._api = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {told['api_key']}"}
        )
        self.members = list(
            Member.objects.filter(program=self.program, identifiers__type="card")
            .order_by("enrolled_at", "pk")
            .prefetch_related("identifiers")[: len(NAMES)]
        )

    def send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a call of the API; what is there already stays."""
        key = {"Idempotency-Key": f"pictures-{secrets.token_hex(8)}"}
        answer = self._api.request(method, path, json=body, headers=key)
        assert answer.status_code in (200, 201, 409), answer.text
        found: dict[str, Any] = answer.json()
        return found

    def card(self, place: int) -> str:
        """Name a member by their card, as a till does."""
        named = self.members[place].identifiers.all()
        return next(f"card:{one.value}" for one in named if one.type == "card")

    def buy(self, card: str, amount: str, category: str) -> None:
        """Record an order of now."""
        line = {"line": "1", "sku": "1", "amount": amount, "category": category}
        order = {
            "ref": f"p-{secrets.token_hex(4)}-{next(_numbers)}",
            "store": "309",
            "channel": "pos",
            "occurred_at": datetime.now(UTC).isoformat(),
            "currency": "USD",
            "lines": [line],
        }
        self.send("POST", "/v1/earn", {"member": card, "order": order})


def enter() -> Demo:
    """Give people of each group a new password, and open the demo."""
    for name, group in PEOPLE.items():
        _person(name, group)
    return Demo()


def fill(demo: Demo) -> None:
    """Make a campaign, segments, pools, a night and a draft."""
    for place, name in enumerate(NAMES):
        _introduce(demo, place, name)
    _publish(demo)
    _fill_sets(demo)
    for place in range(14):
        demo.buy(demo.card(place), f"{20 + 3 * place}.40", "PRODUCE" if place % 3 else "DELI")
    for place, points in ((3, 500), (5, 800)):
        demo.send("POST", "/v1/adjustments", _given(demo.card(place), 60 + points // 100))
    run_night(demo.program.pk, today=demo.today)
    _edit_draft(demo)


def _person(name: str, group: str) -> None:
    user, _ = User.objects.get_or_create(username=name)
    user.first_name, user.email = name.capitalize(), f"{name}@example.com"
    user.is_staff = True
    user.set_password(PASSWORD)
    user.save()
    user.groups.set(Group.objects.filter(name=group))


def _introduce(demo: Demo, place: int, name: str) -> None:
    """Give a card of the receipts a name, an email and a birthday."""
    first, last = name.split()
    born = f"19{70 + place}-0{1 + place % 9}-1{place % 9}"
    profile = {"first_name": first, "last_name": last, "birth_date": born}
    demo.send("PATCH", f"/v1/members/{demo.card(place)}", {"profile": profile})
    email = {"type": "email", "value": f"{first}.{last}@example.com".lower()}
    demo.send("POST", f"/v1/members/{demo.card(place)}/identifiers", email)


def _publish(demo: Demo) -> None:
    written = {**document(demo.program), "campaigns": [_campaign(demo)]}
    written["points"] |= {"adjustment_limit": 200, "value": {"points": 100, "amount": "1.00"}}
    rewards = [reward for reward in written["rewards"] if reward["code"] != "cinema"]
    cinema = {"code": "cinema", "name": "Cinema ticket", "cost": 700}
    cinema["gives"] = {"code_from_pool": "cinema"}  # type: ignore[assignment]
    early = {"code": "tasting", "name": "The wine tasting", "cost": 150}
    early |= {"gives": {"custom": "tasting"}, "segments": ["wine-lovers"]}  # type: ignore[dict-item]
    known = {reward["code"] for reward in rewards}
    written["rewards"] = [*rewards, *(one for one in (cinema, early) if one["code"] not in known)]
    apply_document(written, actor="marta", reason="The fresh weeks begin")


def _campaign(demo: Demo) -> dict[str, Any]:
    begin, end = demo.today - timedelta(days=6), demo.today + timedelta(days=21)
    return {
        "code": "fresh-weeks",
        "name": "Fresh weeks",
        "from": begin.isoformat(),
        "to": end.isoformat(),
        "budget_points": 2000,
        "rules": [
            {
                "code": "fresh-triple",
                "name": "Produce counts three times",
                "multiply": "3",
                "when": {"category": ["PRODUCE"]},
            },
            {
                "code": "fresh-basket",
                "name": "A fresh basket",
                "bonus": 30,
                "when": {"category": ["PRODUCE"], "order_amount_min": "25.00"},
                "limit": {"times": 2, "per": "week"},
            },
        ],
    }


def _fill_sets(demo: Demo) -> None:
    for code, name, members in (("wine-lovers", "Wine lovers", 12), ("staff", "Our own people", 4)):
        demo.send("PUT", f"/v1/segments/{code}", {"name": name})
        add = [demo.card(place) for place in range(members)]
        demo.send("POST", f"/v1/segments/{code}/members", {"add": add})
    codes = (f"CINE-{number:05d}" for number in range(4000))
    for _ in load_codes(demo.program.pk, "cinema", codes):
        pass


def _given(card: str, points: int) -> dict[str, Any]:
    return {"member": card, "points": points, "reason": "The delivery came late"}


def spoil_profiles() -> None:
    """Change a field of some at the vendor behind our back, for a comparison to find."""
    klaviyo = Connection.objects.filter(adapter="klaviyo").first()
    if klaviyo is None:
        return
    headers = {
        "Authorization": "Klaviyo-API-Key pk_sandbox",
        "revision": "2026-07-15",
        "Content-Type": "application/vnd.api+json",
    }
    url = klaviyo.config["address"]
    found = httpx.get(f"{url}/api/profiles?page[size]=5", headers=headers)
    for profile in found.json()["data"][:3]:
        told = {"loyalty_points_balance": 4, "loyalty_tier": "platinum"}
        known_by = {"external_id": profile["attributes"]["external_id"]}
        data = {"type": "profile", "attributes": {**known_by, "properties": told}}
        answer = httpx.post(f"{url}/api/profile-import", json={"data": data}, headers=headers)
        assert answer.is_success, answer.text


def _edit_draft(demo: Demo) -> None:
    """Change some things that nobody has published yet."""
    demo.send(
        "POST",
        "/v1/earning-rules",
        {
            "code": "happy-hour",
            "name": "Quiet afternoons",
            "bonus": 20,
            "when": {
                "category": ["DELI", "PRODUCE"],
                "weekday": ["mon", "tue", "wed", "thu"],
                "hour": {"from": 14, "to": 16},
                "order_amount_min": "10.00",
            },
            "limit": {"times": 1, "per": "day"},
        },
    )
    demo.send("PATCH", "/v1/rewards/five-off", {"cost": 450})
    demo.send("PATCH", "/v1/rewards/mug", {"cost": 9000})
