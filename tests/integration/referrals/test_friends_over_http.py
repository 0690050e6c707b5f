"""What callers see of referrals: answers, lookups, exports, previews, batches."""

import orjson

from loyalty.nightly.services import settle_referrals
from tests.factories import database_time, line, unique
from tests.integration.http.caller import Caller
from tests.integration.referrals.friends import join, open_shop


def order(ref: str, amount: str = "20.00") -> dict[str, object]:
    return {
        "ref": ref,
        "store": "309",
        "occurred_at": database_time().isoformat(),
        "currency": "USD",
        "lines": [line("1", amount)],
    }


def test_a_referral_over_http():
    till = open_shop()
    api, ada, card = Caller(till.program.pk), join(till), unique("c")
    code = ada.referral_code
    enrol = {"identifiers": [{"type": "card", "value": card}], "referred_by": code.lower()}
    ben = api.post("/v1/members", enrol).json()
    assert (ben["referrer"], len(ben["referral_code"])) == (ada.id, 8)
    assert api.get(f"/v1/members/card:{card}").json() == ben
    found = api.post("/v1/members/lookup", {"type": "referral", "value": f" {code.lower()} "})
    assert found.json()["id"] == ada.id
    assert api.post("/v1/members/lookup", {"type": "referral", "value": "X"}).status_code == 404

    body = {"member": f"card:{card}", "order": order("o1")}
    shown = api.post("/v1/earn/preview", body).json()
    assert shown["referral"]["points"] == 100
    earned = api.post("/v1/earn", body).json()
    assert earned["referral"] == shown["referral"]
    settle_referrals()
    exported = orjson.loads(api.get(f"/v1/members/{ada.id}/export").content)
    assert [row["friend_id"] for row in exported["referral_steps"]] == [ben["id"]] * 2
    assert all(
        "facts" not in row for row in exported["referral_steps"]
    )  # of what the friend bought
    mine = orjson.loads(api.get(f"/v1/members/{ben['id']}/export").content)
    assert [row["referrer_id"] for row in mine["referrals"]] == [ada.id]
    returned = {"ref": "r1", "occurred_at": database_time().isoformat()}
    returned["lines"] = [{"line": "1", "quantity": "1"}]  # type: ignore[assignment]
    back = api.post("/v1/orders/o1/returns", returned).json()
    assert back["explanation"][-1]["points"] == -100
    assert back["balance"]["available"] == 0

    commands = [
        {"idempotency_key": unique("k"), "enrol": {**enrol, "referred_by": wanted}}
        for wanted in ("NOBODYS1", code)
    ]
    commands[1]["enrol"]["identifiers"] = [{"type": "card", "value": unique("c")}]
    results = api.post("/v1/batch", {"commands": commands}).json()["results"]
    assert [result["status"] for result in results] == [422, 201]
    assert results[0]["body"]["code"] == "referral_code_unknown"


def test_a_referrer_reads_page_by_page_what_came_of_whom_they_brought():
    till = open_shop()
    api, ada = Caller(till.program.pk), join(till)
    path = f"/v1/members/{ada.id}/referrals"
    assert api.get(path).json() == {"items": [], "next_cursor": None}
    friends = [join(till, ada.referral_code) for _ in range(3)]
    join(till, friends[0].referral_code)  # a friend's friend is not hers
    for friend in friends[1:]:
        api.post("/v1/earn", {"member": f"card:{friend.card}", "order": order(friend.card)})
    settle_referrals()
    returned = {"ref": "r1", "occurred_at": database_time().isoformat()}
    returned["lines"] = [{"line": "1", "quantity": "1"}]  # type: ignore[assignment]
    api.post(f"/v1/orders/{friends[2].card}/returns", returned)
    shown = api.get(path).json()["items"]
    assert [(one["member"], one["state"], one["points"], one["due"]) for one in shown] == [
        (friends[2].id, "reversed", 0, True),
        (friends[1].id, "converted", 200, False),
        (friends[0].id, "open", 0, False),
    ]
    assert shown[2]["changed_at"] == shown[2]["joined_at"] < shown[1]["joined_at"]
    first = api.get(f"{path}?limit=2").json()
    last = api.get(f"{path}?limit=2&cursor={first['next_cursor']}").json()
    assert first["items"] + last["items"] == shown
    assert last["next_cursor"] is None
    survivor = join(till)
    merge = {"into": f"card:{survivor.card}", "reason": "one person"}
    assert api.post(f"/v1/members/{ada.id}/merge", merge).status_code == 200
    assert api.get(f"/v1/members/{survivor.id}/referrals").json()["items"] == shown


def test_an_order_sent_as_it_is_now_tells_of_its_referral():
    till = open_shop()
    api, ada = Caller(till.program.pk), join(till)
    ben = join(till, ada.referral_code)
    told = {**order("w1"), "state": "paid"}
    body = {"member": f"card:{ben.card}", "revision": 1, "order": told}
    answer = api.call("PUT", "/v1/orders/w1", body)
    assert (answer.status_code, answer.json()["referral"]["points"]) == (201, 100)
