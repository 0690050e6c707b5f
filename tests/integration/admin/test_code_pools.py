"""Codes are uploaded in the admin, in pieces; who may not, cannot."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse

from loyalty.admin.code_pools import CodePoolAdmin
from loyalty.rewards.models import CodePool
from tests.factories import Till
from tests.integration.admin.forms import Marketer

PIECE = "/admin/loyalty/codepool/upload/piece/"


def send(who: Marketer, till: Till, lines: Any, **more: Any) -> HttpResponse:
    body = {"program": till.program.pk, "pool": "cinema", "valid_until": "", "first_line": 1}
    body |= {"lines": lines, **more}
    return who.client.post(PIECE, json.dumps(body), content_type="application/json")


def test_pieces_are_loaded_and_counted(marketer: Marketer, till: Till):
    assert b"upload.js" in marketer.client.get("/admin/loyalty/codepool/upload/").content
    first = send(marketer, till, ["code", "A-1", "B 2", "C-3,2099-12-31"])
    assert first.json() == {
        "counts": {"added": 2, "known already": 0, "unreadable": 1},
        "problems": ["line 3: a code has 1 to 100 characters and no spaces"],
        "carry": {},
    }
    second = send(marketer, till, ["A-1", "D-4"], first_line=5)
    assert second.json()["counts"] == {"added": 1, "known already": 1, "unreadable": 0}
    page = marketer.client.get("/admin/loyalty/codepool/").content.decode()
    assert "cinema" in page
    assert "Upload codes" in page


def test_an_empty_list_leads_to_the_upload(
    marketer: Marketer, colleague: Marketer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(CodePoolAdmin, "get_queryset", lambda *_: CodePool.objects.none())
    button = 'href="/admin/loyalty/codepool/upload/" class="ly-button'
    assert button in marketer.open("loyalty/codepool/").content.decode()
    colleague.user.user_permissions.set([Permission.objects.get(codename="view_codepool")])
    assert button not in colleague.open("loyalty/codepool/").content.decode()


def test_what_is_no_piece_is_refused_and_changes_nothing(marketer: Marketer, till: Till):
    assert send(marketer, till, "A-1").status_code == 400
    assert send(marketer, till, ["A-1"], pool="a pool").status_code == 400
    assert send(marketer, till, ["x"] * 5001).status_code == 400
    assert marketer.client.post(PIECE, "[]", content_type="application/json").status_code == 400
    assert send(marketer, till, ["A-1"]).json()["counts"]["added"] == 1


def test_who_may_not_upload_cannot(colleague: Marketer, till: Till):
    assert send(colleague, till, ["A-1"]).status_code == 403
