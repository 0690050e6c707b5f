"""Segments are filled in the admin, in pieces, and stand on their members' pages."""

import json
from typing import Any

from django.http import HttpResponse

from loyalty.members.models import Segment
from loyalty.members.segments import count_members_of, segments_of_member
from loyalty.programs.models import EarningRule
from tests.factories import Till, unique
from tests.integration.admin.forms import Marketer, text_of

PIECE = "/admin/loyalty/segment/upload/piece/"


def send(who: Marketer, till: Till, lines: Any, **more: Any) -> HttpResponse:
    body = {"program": till.program.pk, "segment": "vip", "type": "", "does": "add"}
    body |= {"first_line": 1, "lines": lines, **more}
    return who.client.post(PIECE, json.dumps(body), content_type="application/json")


def test_pieces_are_loaded_and_counted(marketer: Marketer, till: Till):
    assert b"upload.js" in marketer.client.get("/admin/loyalty/segment/upload/").content
    one, two = till.member(), till.member()
    first = send(marketer, till, ["card", one, unique("c"), "y" * 200]).json()
    assert first == {
        "counts": {"added": 1, "as they were": 0, "unknown": 1, "unreadable": 1},
        "problems": [
            "line 4: cards and external ids have 1 to 100 characters",
            "line 3: names nobody of this program",
        ],
        "carry": {"type": "card"},
    }
    second = send(marketer, till, [one, two], first_line=5, **first["carry"]).json()
    assert second["counts"] == {"added": 1, "as they were": 1, "unknown": 0, "unreadable": 0}
    words = text_of(marketer.open("loyalty/segment/"))
    assert "vip" in words
    assert "Upload members" in words
    assert "Segmentsvip" in text_of(marketer.open(f"loyalty/member/{till.ids[one]}/change/"))
    out = send(marketer, till, [one], type="card", does="remove").json()
    assert out["counts"]["taken out"] == 1
    assert segments_of_member(till.ids[one]) == []
    assert count_members_of(till.program.pk, ["vip"]) == {"vip": 1}


def test_what_is_no_piece_is_refused_and_changes_nothing(marketer: Marketer, till: Till):
    for lines, more in (("A", {}), (["A"], {"segment": "a b"}), (["x"] * 2001, {}),
                        (["A"], {"type": "fax"}), (["A"], {"does": "nothing"})):  # fmt: skip
        assert send(marketer, till, lines, **more).status_code == 400
    assert count_members_of(till.program.pk, ["vip"]) == {}


def test_who_may_not_upload_cannot(colleague: Marketer, till: Till):
    assert send(colleague, till, [till.member()], type="card").status_code == 403


def test_a_segment_says_what_names_it_and_is_deleted_when_nothing_does(
    marketer: Marketer, colleague: Marketer, till: Till
):
    card = till.member()
    send(marketer, till, [card], type="card")
    page = f"loyalty/segment/{Segment.objects.get(program_id=till.program.pk).pk}/"
    rule = {"code": "vip-visit", "bonus": 5, "when": {"segment": ["vip"]}}
    till.again(earning_rules=[rule])
    EarningRule.objects.filter(program=till.program).update(is_active=False)  # a draft

    shown = text_of(marketer.open(page + "change/"))
    assert "Earning rule vip-visit" in shown
    assert "1 member" in shown
    refused = text_of(marketer.client.post(f"/admin/{page}delete/", follow=True))
    assert "The segment vip is named by earning rule vip-visit." in refused
    assert colleague.client.post(f"/admin/{page}delete/").status_code == 404
    till.again(earning_rules=[{**rule, "when": {}}])
    assert "who they were is not kept" in text_of(marketer.open(page + "delete/"))
    gone = text_of(marketer.client.post(f"/admin/{page}delete/", follow=True))
    assert "The segment vip is deleted." in gone
    assert segments_of_member(till.ids[card]) == []
