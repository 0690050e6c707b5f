"""What tills send: the same bytes to all three sites.

Plain strings, so that the process that sends them spends its time on sending. Numbers have fixed
widths: the length of a body is known before it is filled in.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

MEMBERS = 2_000
POINTS_AT_FIRST = 1_000_000
REDEEMED = 100
BATCH = 1_000

LINES: list[dict[str, str]] = [
    {"line": "1", "sku": "940996", "quantity": "1", "amount": "3.86", "category": "GROCERY"},
    {"line": "2", "sku": "1029743", "quantity": "2", "amount": "5.98", "category": "GROCERY"},
    {"line": "3", "sku": "1082185", "quantity": "0.845", "amount": "1.09", "category": "PRODUCE"},
    {"line": "4", "sku": "995242", "quantity": "1", "amount": "2.49", "category": "DAIRY"},
    {"line": "5", "sku": "981760", "quantity": "3", "amount": "8.97", "category": "DRUG"},
]
POINTS = 23
"""What these lines earn: 22 whole dollars, and one more for the doubled line of produce."""


def card(number: int) -> str:
    """Give the card of a member."""
    return f"{number:08d}"


def order(ref: str) -> dict[str, Any]:
    """Give an order of five lines, bought now."""
    return {
        "ref": ref,
        "store": "309",
        "channel": "pos",
        "occurred_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "currency": "USD",
        "lines": LINES,
    }


def earn_body(member: str, ref: str) -> dict[str, Any]:
    """Give what a till sends when a member has paid."""
    return {"member": f"card:{member}", "order": order(ref)}


def _request(path: str, token: str, body: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Idempotency-Key: {KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {{LENGTH}}\r\n\r\n{body}"
    )


def _filled(template: str, members: Sequence[int], prefix: str) -> Iterator[bytes]:
    head, _, body = template.partition("\r\n\r\n")
    length = len(body) - len("{CARD}{KEY}") + 8 + len(prefix) + 8
    whole = head.replace("{LENGTH}", str(length)) + "\r\n\r\n" + body
    for number in count():
        key = f"{prefix}{number:08d}"
        member = card(members[number * 7919 % len(members)])
        yield whole.replace("{KEY}", key).replace("{CARD}", member).encode()


def earns(token: str, members: Sequence[int], prefix: str) -> Iterator[bytes]:
    """Give earns for ever, each of another member and with an order and a key of its own."""
    body = json.dumps(earn_body("{CARD}", "{KEY}"))
    return _filled(_request("/v1/earn", token, body), members, prefix)


def redeems(token: str, members: Sequence[int], prefix: str) -> Iterator[bytes]:
    """Give redemptions for ever."""
    body = json.dumps({"member": "card:{CARD}", "points": REDEEMED, "ref": "{KEY}"})
    return _filled(_request("/v1/redeem", token, body), members, prefix)


def balances(token: str, members: Sequence[int], prefix: str) -> Iterator[bytes]:
    """Give questions for balances for ever."""
    for number in count():
        member = card(members[number * 7919 % len(members)])
        yield (
            f"GET /v1/members/card:{member}/balance HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()


def batches(token: str, members: Sequence[int], prefix: str) -> Iterator[bytes]:
    """Give batches of earns for ever."""
    command = json.dumps({"idempotency_key": "{KEY}", "earn": earn_body("{CARD}", "{KEY}")})
    head = _request("/v1/batch", token, "")
    for number in count():
        commands = ", ".join(_filled_in(command, members, f"{prefix}{number:04d}-", number))
        body = f'{{"commands": [{commands}]}}'
        key = f"{prefix}{number:08d}"
        yield (head.replace("{KEY}", key).replace("{LENGTH}", str(len(body))) + body).encode()


def _filled_in(command: str, members: Sequence[int], prefix: str, batch: int) -> Iterator[str]:
    for number in range(BATCH):
        member = card(members[(batch * BATCH + number) % len(members)])
        yield command.replace("{KEY}", f"{prefix}{number:04d}").replace("{CARD}", member)


KINDS = {"earn": earns, "redeem": redeems, "balance": balances, "batch": batches}
STATUS = {"earn": 201, "redeem": 201, "balance": 200, "batch": 200}
