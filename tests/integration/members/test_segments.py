"""Segments: who is in one, however they are named, merged and erased."""

import io
import time
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from loyalty.members.segment_lists import load_list
from loyalty.members.segments import (
    Changed,
    add_members,
    count_members_of,
    delete_segment,
    members_after,
    remove_members,
)
from tests.factories import Till, connect, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of, code_of
from tests.people import erase, merge, unmerge


@pytest.fixture
def till() -> Till:
    return open_till()


def add(till: Till, *cards: str, to: str = "vip") -> Changed:
    return add_members(till.program.pk, to, [("card", card) for card in cards])


def inside(till: Till, segment: str = "vip") -> set[str]:
    return {str(one) for one in members_after(till.program.pk, segment, UUID(int=0), 99)}


def test_members_come_in_and_go_out_once(till: Till):
    one, two = till.member(), till.member()
    done = add(till, one, unique("nobody"), two, one)
    assert (done.changed, done.same, done.unknown) == (2, 1, [1])
    assert inside(till) == {till.ids[one], till.ids[two]}
    again = add(till, one, two)
    assert (again.changed, again.same) == (0, 2)
    gone = remove_members(till.program.pk, "vip", [("id", till.ids[one]), ("card", one)])
    assert (gone.changed, gone.same) == (1, 1)
    assert inside(till) == {till.ids[two]}
    assert count_members_of(till.program.pk, ["vip", "none"]) == {"vip": 1}


def test_another_programs_members_are_unknown(till: Till):
    stranger = open_till()
    card = stranger.member()
    named = [("card", card), ("id", stranger.ids[card]), ("account", stranger.ids[card])]
    done = add_members(till.program.pk, "vip", named)
    assert (done.changed, done.unknown) == (0, [0, 1, 2])
    assert inside(till) == set()


def test_a_segment_is_deleted_with_what_it_held(till: Till):
    card = till.member()
    add(till, card)
    assert delete_segment(till.program.pk, "vip")
    assert not delete_segment(till.program.pk, "vip")
    assert inside(till) == set()


def test_one_that_the_program_names_is_not_deleted(till: Till):
    api, card = Caller(till.program.pk), till.member()
    add(till, card)
    rule = {"code": "vip-visit", "bonus": 5, "when": {"not_in_segment": ["vip"]}}
    till.again(earning_rules=[rule])

    refused = api.call("DELETE", "/v1/segments/vip")

    assert code_of(refused) == (409, "segment_in_use")
    assert body_of(refused)["named_by"] == ["earning rule vip-visit"]
    assert inside(till) == {till.ids[card]}
    till.again(earning_rules=[{**rule, "active": False}])
    assert api.call("DELETE", "/v1/segments/vip").status_code == 200
    assert inside(till) == set()


def test_the_survivor_of_a_merge_is_in_the_segments_of_both(till: Till):
    old, new = till.member(), till.member()
    add(till, old, to="theirs")
    add(till, old, to="taken")
    add(till, new, to="own")
    add(till, old, new, to="both")
    merge(till, old, new)
    for segment in ("theirs", "own", "both", "taken"):
        assert inside(till, segment) == {till.ids[new]}
    # By the name of the merged one it is the survivor who goes out, and stays out.
    remove_members(till.program.pk, "taken", [("id", till.ids[old])])
    assert add(till, old, to="later").changed == 1
    unmerge(till, old)
    assert inside(till, "theirs") == {till.ids[old]}
    assert inside(till, "own") == {till.ids[new]}
    assert inside(till, "both") == {till.ids[old], till.ids[new]}
    assert inside(till, "taken") == set()
    assert inside(till, "later") == {till.ids[new]}


def test_who_was_named_again_after_a_merge_stays_when_it_is_undone(till: Till):
    old, new = till.member(), till.member()
    add(till, old)
    merge(till, old, new)
    assert add(till, new).changed == 0
    unmerge(till, old)
    assert inside(till) == {till.ids[old], till.ids[new]}


def test_erasing_takes_a_person_out_for_good(till: Till):
    old, new = till.member(), till.member()
    add(till, old, new)
    merge(till, old, new)
    erase(till, new)
    assert rows("SELECT 1 FROM loyalty_segmentmember WHERE member_id IN (%s, %s)",
                till.ids[old], till.ids[new]) == []  # fmt: skip
    done = add_members(till.program.pk, "vip", [("id", till.ids[new]), ("id", till.ids[old])])
    assert (done.changed, done.unknown) == (0, [0, 1])


def test_a_list_says_itself_what_its_lines_are(till: Till):
    one, two = till.member(), till.member()
    lines = ["\ufeffcard", one, "", f"external:{one}", f'"{two}",Smith', "x" * 120, unique("c")]
    told = list(load_list(till.program.pk, "vip", lines))[-1]
    assert (told.lines, told.changed, told.unknown, told.wrong) == (7, 2, 2, 1)
    assert sorted(told.problems) == [
        "line 4: names nobody of this program",
        "line 6: cards and external ids have 1 to 100 characters",
        "line 7: names nobody of this program",
    ]
    piece = list(load_list(till.program.pk, "vip", [one], first_line=8, type_="card"))[-1]
    assert (piece.changed, piece.same) == (0, 1)
    assert inside(till) == {till.ids[one], till.ids[two]}


def test_the_command_loads_replaces_and_lists(till: Till, tmp_path: Path):
    one, two, three = (till.member() for _ in range(3))
    file, said = tmp_path / "list.csv", io.StringIO()
    file.write_text(f"card:{one}\n{till.ids[two]}\n")
    code = till.document["program"]
    call_command("segment", "load", "vip", str(file), "--program", code, stdout=said)
    file.write_text(f"{two}\n{three}\n")
    again = ["segment", "load", "vip", str(file), "--program", code, "--type", "card"]
    call_command(*again, "--replace", stdout=said)
    assert inside(till) == {till.ids[two], till.ids[three]}
    call_command("segment", "list", "--program", code, stdout=said)
    assert said.getvalue().splitlines() == [
        "vip: 2 members added, 0 as they were, 0 unknown, 0 lines are no members.",
        "vip: 1 members added, 1 as they were, 0 unknown, 0 lines are no members."
        " 1 others taken out.",
        "vip: 2 members (vip)",
    ]
    call_command(*again, "--remove", stdout=said)
    assert inside(till) == set()
    file.write_text(f"{unique('c')}\n")
    with pytest.raises(CommandError, match="nobody is taken out"):
        call_command(*again, "--replace", stdout=said)
    with pytest.raises(CommandError, match="letters, digits"):
        call_command("segment", "load", "a b", str(file), "--program", code)


def test_over_http_a_list_may_name_people_as_it_likes(till: Till):
    api, card, email = Caller(till.program.pk), unique("c"), f"{unique('e')}@example.com"
    named = [{"type": "card", "value": card}, {"type": "email", "value": email}]
    ada = body_of(api.post("/v1/members", {"identifiers": named}))["id"]
    missing = api.post("/v1/segments/guests/members", {"add": [ada]})
    assert code_of(missing) == (404, "segment_not_found")
    made = api.call("PUT", "/v1/segments/guests", {})
    assert (made.status_code, body_of(made)["name"]) == (201, "guests")
    renamed = api.call("PUT", "/v1/segments/guests", {"name": "Guests"})
    assert (renamed.status_code, body_of(renamed)["name"]) == (200, "Guests")
    sent = {"add": [f"email:{email.upper()}", f"card:{card}", "phone:+49 30 1234"]}
    first = api.post("/v1/segments/guests/members", sent)
    assert body_of(first) == {
        "segment": "guests", "added": 1, "removed": 0, "unknown": ["/add/2"]
    }  # fmt: skip
    assert body_of(api.get("/v1/segments/guests"))["members"] == 1
    assert body_of(api.get("/v1/segments/guests/members"))["items"] == [ada]
    assert code_of(api.post("/v1/segments/guests/members", {"add": []})) == (
        422, "validation_failed"
    )  # fmt: skip
    both = {"add": [ada], "remove": [ada]}
    assert code_of(api.post("/v1/segments/guests/members", both))[0] == 422
    assert code_of(api.post("/v1/segments/guests/members", {"add": ["fax:1"]}))[0] == 422
    assert code_of(api.call("PUT", "/v1/segments/a:b", {})) == (422, "validation_failed")
    gone = api.post("/v1/segments/guests/members", {"remove": [f"card:{card}"]})
    assert body_of(gone)["removed"] == 1
    assert api.call("DELETE", "/v1/segments/guests").status_code == 200
    for code in ("guests", "%00"):
        assert code_of(api.get(f"/v1/segments/{code}")) == (404, "segment_not_found")


def test_pages_of_members_and_of_segments(till: Till):
    api = Caller(till.program.pk)
    cards = [till.member() for _ in range(3)]
    for segment in ("a", "b", "c"):
        add(till, *cards, to=segment)
    for path, key in (("/v1/segments", "code"), ("/v1/segments/b/members", "")):
        seen, cursor = [], ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = body_of(api.get(f"{path}?limit=2{more}"))
            seen += [item[key] if key else item for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == (["a", "b", "c"] if key else sorted(till.ids.values()))


def test_who_is_erased_at_this_moment_does_not_come_in(till: Till):
    """A list that meets an erasure waits for it, and then finds nobody."""
    card, found = till.member(), []

    def load() -> None:
        rows("SET lock_timeout = 0")
        found.append(add(till, card))
        connection.close()

    with connect() as other, other.transaction():
        other.execute(
            "UPDATE loyalty_memberstate SET status = 'closed' WHERE member_id = %s",
            [till.ids[card]],
        )
        loading = Thread(target=load)
        loading.start()
        waits = (
            "SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
        )
        until = time.monotonic() + 60
        while not other.execute(waits).fetchall() and time.monotonic() < until:
            time.sleep(0.01)
    loading.join(60)
    assert [(done.changed, done.unknown) for done in found] == [(0, [0])]
    assert inside(till) == set()
