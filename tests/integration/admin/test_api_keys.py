"""An API key is shown once, works, and can be revoked."""

import re

from django.test import Client

from loyalty.http.models import ApiKey
from tests.factories import Till, unique
from tests.integration.admin.forms import Marketer, text_of


def make(marketer: Marketer, till: Till, **changes: object):
    sent = {
        "name": unique("till"),
        "program": str(till.program.pk),
        "scopes": ["members:read"],
        "stores": "",
        **changes,
    }
    return marketer.save("loyalty/apikey/add/", **sent), sent["name"]


def status(key: str, card: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return Client().get(f"/v1/members/card:{card}", headers=headers).status_code


def test_a_new_key_is_shown_once_and_works(marketer: Marketer, till: Till):
    card = till.member()
    page, name = make(marketer, till)
    shown = re.search(r"lyk_\w{12}_\w{43}", page.content.decode())
    assert shown is not None
    assert "shown only this once" in text_of(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert status(shown[0], card) == 200
    row = ApiKey.objects.get(name=name)
    for path in ("loyalty/apikey/", f"loyalty/apikey/{row.pk}/change/", ""):
        later = marketer.open(path).content.decode()
        assert shown[0] not in later
    assert row.prefix in marketer.open(f"loyalty/apikey/?q={name}").content.decode()


def test_a_revoked_key_works_nowhere(marketer: Marketer, till: Till):
    card = till.member()
    page, name = make(marketer, till)
    shown = re.search(r"lyk_\w{12}_\w{43}", page.content.decode())
    assert shown is not None
    row = ApiKey.objects.get(name=name)
    asked = marketer.client.get(f"/admin/loyalty/apikey/{row.pk}/revoke", follow=True)
    assert "This cannot be undone" in text_of(asked)
    assert status(shown[0], card) == 200
    done = marketer.client.post(f"/admin/loyalty/apikey/{row.pk}/revoke/", follow=True)
    assert "is revoked" in text_of(done)
    assert status(shown[0], card) == 401


def test_a_key_needs_scopes_and_stores_of_its_program(marketer: Marketer, till: Till):
    page, name = make(marketer, till, stores="309, 999", scopes=[])
    words = text_of(page)
    assert "no store with the code 999" in words and "This field is required" in words
    assert not ApiKey.objects.filter(name=name).exists()


def test_a_key_cannot_have_the_name_of_a_person(marketer: Marketer, till: Till):
    page, name = make(marketer, till, name=f"admin:{unique()}")
    assert "cannot begin with admin:" in text_of(page)
    assert not ApiKey.objects.filter(name=name).exists()


def test_who_may_only_see_keys_cannot_revoke(colleague: Marketer, marketer: Marketer, till: Till):
    _, name = make(marketer, till)
    row = ApiKey.objects.get(name=name)
    assert colleague.client.post(f"/admin/loyalty/apikey/{row.pk}/revoke/").status_code == 403
    row.refresh_from_db()
    assert row.revoked_at is None


def test_a_key_may_have_a_limit_of_requests(marketer: Marketer, till: Till):
    _, name = make(marketer, till, rate_limit="120")
    row = ApiKey.objects.get(name=name)
    assert row.rate_limit == 120
    words = text_of(marketer.open(f"loyalty/apikey/{row.pk}/change/"))
    assert "Requests per minute 120" in words
    page, _ = make(marketer, till, rate_limit="0")
    assert "At least 1" in text_of(page)
