"""Who may call what: keys, scopes, programs and stores (scenarios 41 and 42)."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from loyalty.errors import LoyaltyError, Unauthenticated
from loyalty.events.services import stamp_events
from loyalty.http import auth
from loyalty.http.auth import Principal, authenticate, create_api_key, revoke, store_for
from tests.factories import STORE, Till, open_till, unique
from tests.integration.http.caller import CALLS, EVERYTHING, Caller, Shop, code_of, order_body
from tests.integration.http.configuration_calls import CONFIGURATION
from tests.integration.http.webhook_calls import WEBHOOK_CALLS

ACCEPTED = {
    **{name: {"config"} for name in WEBHOOK_CALLS},
    "enrol": {"members:write"},
    "get_member": {"members:read"},
    "update_member": {"members:write"},
    "lookup_member": {"members:read"},
    "add_identifier": {"members:write"},
    "remove_identifier": {"members:write"},
    "merge_members": {"members:write"},
    "unmerge_member": {"members:write"},
    "erase_member": {"members:write"},
    "export_member": {"members:read"},
    "list_segments": {"members:read", "config"},
    "put_segment": {"members:write", "config"},
    "get_segment": {"members:read", "config"},
    "remove_segment": {"members:write", "config"},
    "list_segment_members": {"members:read", "config"},
    "change_segment_members": {"members:write", "config"},
    "earn": {"earn"},
    "preview_earn": {"earn"},
    "preview_draft": {"config"},
    "put_order": {"earn"},
    "return_order": {"earn"},
    "redeem": {"redeem"},
    "get_redemption": {"redeem", "members:read"},
    "capture": {"redeem"},
    "void": {"redeem"},
    "reverse": {"redeem"},
    "fulfil": {"redeem"},
    "get_balance": {"members:read"},
    "list_ledger": {"members:read"},
    "get_ledger_transaction": {"members:read"},
    "list_lots": {"members:read"},
    "list_referrals": {"members:read"},
    "get_tier": {"members:read"},
    "assign_tier": {"members:write"},
    "list_tier_history": {"members:read"},
    "list_rewards": {"members:read"},
    "list_redemptions": {"members:read"},
    "adjust": {"adjust"},
    "batch": {"earn", "redeem", "members:write", "adjust"},
    "list_events": {"events"},
    **{key: {"config"} for key in CONFIGURATION},
}
# What a call needs besides, for the body that it is tried with.
TOGETHER = {"preview_draft": ("members:read",)}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer lyk_x_y", "nonsense"])
def test_a_call_without_a_good_key_is_401(
    still_shop: Shop, still_api: Caller, name: str, header: str
) -> None:
    method, path, body = still_shop.call(name)
    response = still_api.call(method, path, body, Authorization=header)
    assert code_of(response) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", CALLS)
def test_scenario_42_a_key_without_the_scope_is_403(still_shop: Shop, name: str) -> None:
    method, path, body = still_shop.call(name)
    others = tuple(scope for scope in EVERYTHING if scope not in ACCEPTED[name])
    response = Caller(still_shop.program_id, others).call(method, path, body)
    assert code_of(response) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("name", "scope"), [(name, scope) for name in CALLS for scope in sorted(ACCEPTED[name])]
)
def test_scenario_42_the_one_scope_is_enough(shop: Shop, name: str, scope: str) -> None:
    method, path, body = shop.call(name)
    response = Caller(shop.program_id, (scope, *TOGETHER.get(name, ()))).call(method, path, body)
    assert response.status_code < 300 or name == "reverse"


def test_scenario_42_a_batch_asks_for_the_scope_of_each_command(shop: Shop) -> None:
    caller = Caller(shop.program_id, ("earn",))
    commands = [
        {"idempotency_key": unique("k"), "redeem": {"member": f"card:{shop.card}", "points": 100}},
        {
            "idempotency_key": unique("k"),
            "earn": {"member": f"card:{shop.card}", "order": order_body()},
        },
    ]
    results = json.loads(caller.post("/v1/batch", {"commands": commands}, key=None).content)[
        "results"
    ]
    assert [result["status"] for result in results] == [403, 201]
    assert results[0]["body"]["code"] == "scope_missing"


def test_scenario_42_a_revoked_key_dies_within_5_seconds(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("/v1/events").status_code == 200
    now = time.monotonic()
    # Another process revokes it: this one still has it in memory.
    remembered = dict(auth._known)
    revoke(api.row)
    auth._known.update(remembered)
    assert api.get("/v1/events").status_code == 200
    monkeypatch.setattr(auth.time, "monotonic", lambda: now + 5.1)
    assert code_of(api.get("/v1/events")) == (401, "unauthenticated")


def test_a_process_that_revokes_a_key_refuses_it_at_once(api: Caller) -> None:
    assert api.get("/v1/events").status_code == 200
    revoke(api.row)
    assert code_of(api.get("/v1/events")) == (401, "unauthenticated")
    assert api.row.revoked_at is not None


def test_scenario_42_an_expired_key_is_401(till: Till) -> None:
    past = timezone.now() - timedelta(seconds=1)
    caller = Caller(till.program.pk, expires_at=past)
    assert code_of(caller.get("/v1/events")) == (401, "unauthenticated")


def test_a_key_with_another_secret_is_refused_although_its_prefix_is_known(api: Caller) -> None:
    assert api.get("/v1/events").status_code == 200
    last = "a" if api.key[-1] != "a" else "b"
    api.key = api.key[:-1] + last
    assert code_of(api.get("/v1/events")) == (401, "unauthenticated")


def test_only_a_keyed_hash_of_the_key_is_stored(till: Till, settings: Any) -> None:
    row, plain = create_api_key(program_id=till.program.pk, scopes=["earn"], name="till")
    assert plain.encode() not in bytes(row.secret_hash)
    assert len(plain) == len("lyk_") + 12 + 1 + 43
    assert authenticate(f"Bearer {plain}").key_id == row.pk
    settings.LOYALTY_PEPPER = "another pepper" * 4
    with pytest.raises(Unauthenticated):
        authenticate(f"Bearer {plain}")


@pytest.mark.parametrize("scopes", [[], ["earn", "fly"]])
def test_a_key_has_scopes_that_exist(till: Till, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="Scopes are earn"):
        create_api_key(program_id=till.program.pk, scopes=scopes, name="till")


def test_the_memory_of_keys_is_bounded(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHED_KEYS_MAX", 3)
    for _ in range(5):
        _, plain = create_api_key(program_id=till.program.pk, scopes=["earn"], name="till")
        authenticate(f"Bearer {plain}")
    assert len(auth._known) <= 3


# Other programs' things (scenario 41)

# A configuration's address names no program: it is the key's own.
ABOUT_ITS_OWN = (
    "list_webhook_endpoints",
    "create_webhook_endpoint",
    "enrol",
    "put_order",
    "batch",
    "list_events",
    "list_segments",
    "put_segment",
    *CONFIGURATION,
)
ABOUT_ANOTHER = [name for name in CALLS if name not in ABOUT_ITS_OWN]


@pytest.mark.parametrize("name", ABOUT_ANOTHER)
def test_scenario_41_what_another_program_owns_is_404(still_shop: Shop, name: str) -> None:
    stranger = Caller(open_till().program.pk)
    method, path, body = still_shop.call(name)
    response = stranger.call(method, path, body)
    assert response.status_code == 404
    # It says no more about what another owns than about what does not exist.
    known = json.loads(response.content)
    method, path, body = _of_nobody(still_shop, name)
    unknown = json.loads(stranger.call(method, path, body).content)
    for problem in (known, unknown):
        del problem["request_id"]
    assert known["code"] == unknown["code"] and known.keys() == unknown.keys()


def _of_nobody(shop: Shop, name: str) -> tuple[str, str, Any]:
    method, path, body = shop.call(name)
    nobody = shop.member[:-4] + "0000"
    path = path.replace(shop.member, nobody).replace(
        shop.member.replace("-", ""), nobody.replace("-", "")
    )
    path = path.replace(shop.ref, unique("o"))
    if body and "member" in body:
        body = {**body, "member": f"card:{unique('c')}"}
    if name == "lookup_member":
        body = {"type": "card", "value": unique("c")}
    return method, path, body


def test_scenario_41_a_batch_reaches_no_other_program(shop: Shop) -> None:
    stranger = Caller(open_till().program.pk)
    commands = [
        {
            "idempotency_key": unique("k"),
            "adjust": {"member": shop.member, "points": 5, "reason": "mine now"},
        },
        {
            "idempotency_key": unique("k"),
            "return": {
                "order_ref": shop.ref,
                "store": STORE,
                "ref": "r",
                "occurred_at": order_body()["occurred_at"],
                "lines": [{"line": "1", "quantity": "1"}],
            },
        },
    ]
    results = json.loads(stranger.post("/v1/batch", {"commands": commands}, key=None).content)
    assert [result["status"] for result in results["results"]] == [404, 404]


def test_scenario_41_the_feed_shows_only_the_own_program(shop: Shop) -> None:
    stranger = open_till()
    stranger.member()
    while stamp_events():
        pass  # of other tests too, which stand in front
    items = json.loads(Caller(stranger.program.pk).get("/v1/events").content)["items"]
    assert {item["member"] for item in items} == set(stranger.ids.values())


# Stores (scenario 41)

EARN = {"earn", "preview_earn", "put_order"}


@pytest.mark.parametrize("name", ["earn", "preview_earn", "put_order", "redeem", "return_order"])
def test_scenario_41_a_key_of_one_store_may_not_act_for_another(
    still_shop: Shop, name: str
) -> None:
    caller = Caller(still_shop.program_id, stores=["310"])
    method, path, body = still_shop.call(name)
    if name == "redeem":
        body["store"] = STORE
    assert code_of(caller.call(method, path, body)) == (403, "store_not_allowed")


@pytest.mark.parametrize("action", ["capture", "void", "reverse"])
def test_scenario_41_a_key_of_one_store_may_not_settle_anothers_redemption(
    shop: Shop, action: str
) -> None:
    here = Caller(shop.program_id, stores=[STORE])
    held = json.loads(
        here.post(
            "/v1/redeem",
            {"member": shop.member, "reward": "five-off", "capture": action == "reverse"},
        ).content
    )
    there = Caller(shop.program_id, stores=["310"])
    body = {"reason": "x"} if action == "reverse" else {}
    path = f"/v1/redemptions/{held['id']}/{action}"
    assert code_of(there.post(path, body)) == (403, "store_not_allowed")
    assert here.post(path, body).status_code == 200


def test_scenario_41_a_batch_is_refused_store_by_store(shop: Shop) -> None:
    caller = Caller(shop.program_id, stores=["310"])
    orders = [order_body(store="310"), order_body(store=STORE)]
    commands = [
        {"idempotency_key": unique("k"), "earn": {"member": shop.member, "order": order}}
        for order in orders
    ]
    results = json.loads(caller.post("/v1/batch", {"commands": commands}, key=None).content)
    assert [result["status"] for result in results["results"]] == [201, 403]


def test_a_key_of_one_store_acts_for_it_without_saying_so(shop: Shop) -> None:
    caller = Caller(shop.program_id, stores=["310"])
    body = {"member": shop.member, "points": 100}
    assert json.loads(caller.post("/v1/redeem", body).content)["store"] == "310"


def test_a_key_of_several_stores_must_say_for_which() -> None:
    principal = Principal(1, 1, "till", frozenset(), frozenset({"a", "b"}))
    assert store_for(principal, "a", pointer="/store") == "a"
    with pytest.raises(LoyaltyError) as refused:
        store_for(principal, None, pointer="/store")
    assert refused.value.code == "validation_failed"
    assert refused.value.errors[0]["pointer"] == "/store"


def test_a_key_of_no_store_may_name_any_or_none() -> None:
    principal = Principal(1, 1, "web", frozenset())
    assert store_for(principal, None, pointer="/store") is None
    assert store_for(principal, "309", pointer="/store") == "309"


def test_a_preview_for_a_member_shows_them_only_to_who_may_read_members(shop: Shop) -> None:
    body = {"member": f"card:{shop.card}", "order": order_body()}
    alone = Caller(shop.program_id, ("config",)).post("/v1/program/preview", body, key=None)
    assert code_of(alone) == (403, "scope_missing")
    both = Caller(shop.program_id, ("config", "members:read"))
    assert both.post("/v1/program/preview", body, key=None).status_code == 200
