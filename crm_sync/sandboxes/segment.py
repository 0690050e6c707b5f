"""Segment, as far as an adapter sees it: messages kept once by their id, profiles made of them.

It says yes to everything and drops what is wrong without a word, as Segment does: a wrong key, a
message without a user, one that is too large.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from crm_sync.sandboxes.pages import Person
from crm_sync.sandboxes.server import Call, Reply, Sandbox

MESSAGE_BYTES: Final = 32 * 1024
BATCH_BYTES: Final = 500 * 1024
_TRAITS = re.compile(r"/v1/spaces/([^/]+)/collections/users/profiles/user_id:([^/]+)/traits")


@dataclass
class User:
    """A user."""

    traits: dict[str, Any] = field(default_factory=dict)
    tracks: list[dict[str, Any]] = field(default_factory=list)


class Segment(Sandbox):
    """One source, with the profiles that a space makes of it.

    Attributes:
        forwarded: Messages that tools behind Segment were given, in their order; nothing where
            `keeps_calls` is off.
        dropped: Messages that were taken with a yes and are nowhere.
    """

    title: ClassVar[str] = "Segment"

    def __init__(self, write_key: str = "write-sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.write_key = write_key
        self.space_id = "spa_sandbox"
        self.profiles_token = "token-sandbox"
        self.users: dict[str, User] = {}
        self.seen: set[str] = set()
        self.forwarded: list[Mapping[str, Any]] = []
        self.dropped: list[Mapping[str, Any]] = []

    def handle(self, call: Call) -> Reply:
        """Take messages, or show a profile."""
        if found := _TRAITS.fullmatch(call.path):
            return self._show(call, found[1], found[2])
        kind = call.path.removeprefix("/v1/")
        if call.method != "POST" or kind not in ("batch", "identify", "track"):
            return Reply(404, {"message": "Not Found"})
        if not isinstance(call.body, dict) or len(call.raw) > BATCH_BYTES:
            return Reply(400, {"success": False, "message": "malformed JSON or too large"})
        messages = call.body.get("batch", []) if kind == "batch" else [{"type": kind, **call.body}]
        for message in messages:
            self._take(call, message)
        return Reply(200, {"success": True})

    def people(self) -> list[Person]:
        """List the users for the page."""
        return [
            Person(
                str(user.traits.get("email") or user_id),
                user.traits,
                [f"{one.get('timestamp')} {one['event']}" for one in user.tracks],
            )
            for user_id, user in self.users.items()
        ]

    def _take(self, call: Call, message: Mapping[str, Any]) -> None:
        """Keep the first message of each id; lose what is wrong."""
        user_id, message_id = message.get("userId"), str(message.get("messageId") or "")
        is_wrong = _key(call) != self.write_key or not user_id or len(message_id) > 99
        is_wrong |= message.get("type") == "track" and not message.get("event")
        if is_wrong or len(json.dumps(message)) > MESSAGE_BYTES:
            self.dropped.append(message)
            return
        if message_id and message_id in self.seen:
            return
        self.seen.add(message_id)
        if self.keeps_calls and message.get("integrations", {}).get("All", True):
            self.forwarded.append(message)
        user = self.users.setdefault(str(user_id), User())
        if message["type"] == "track":
            user.tracks.append(dict(message))
        for name, value in (message.get("traits") or {}).items():
            user.traits[name] = value
            if value is None:
                del user.traits[name]

    def _show(self, call: Call, space_id: str, user_id: str) -> Reply:
        if (_key(call), space_id) != (self.profiles_token, self.space_id):
            return Reply(401, {"error": {"code": "unauthorized", "message": "invalid token"}})
        user = self.users.get(user_id)
        if user is None:
            said = {"code": "not_found", "message": "The resource was not found."}
            return Reply(404, {"error": said})
        wanted = [name for name in call.query.get("include", "").split(",") if name]
        names = [name for name in user.traits if not wanted or name in wanted]
        shown = {name: user.traits[name] for name in names[: int(call.query.get("limit", 10))]}
        return Reply(200, {"traits": shown, "cursor": {"has_more": False}})


def _key(call: Call) -> str:
    given = call.headers.get("authorization", "").removeprefix("Basic ")
    return base64.b64decode(given).decode().removesuffix(":")
