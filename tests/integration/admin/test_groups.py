"""The groups of colleagues, and the pages that each may use."""

from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from tests.factories import unique
from tests.integration.admin.forms import Marketer

pytestmark = pytest.mark.usefixtures("committed")

MAY = {
    "Marketer": {"publish_program", "change_earningrule", "add_reward", "view_member"},
    "Support": {"change_member", "add_ledgertransaction", "view_reward"},
    "Finance": {"view_ledgertransaction", "view_publishedversion"},
    "Administrator": {"publish_program", "add_apikey", "change_member", "add_user"},
}
MAY_NOT = {
    "Marketer": {"add_apikey", "add_ledgertransaction", "change_member", "add_user"},
    "Support": {"publish_program", "change_reward", "add_apikey"},
    "Finance": {"add_ledgertransaction", "change_member", "publish_program", "change_reward"},
    "Administrator": set(),
}


def colleague(group: str) -> Marketer:
    user = User.objects.create_user(unique("kim"), "", "pw", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return Marketer(client, user)


def test_what_each_group_may_do():
    call_command("create_groups", "--again", stdout=StringIO())
    for name, wanted in MAY.items():
        rights = set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        assert wanted <= rights, name
        assert not rights & MAY_NOT[name], name


def test_a_group_that_somebody_changed_stays():
    call_command("create_groups", "--again", stdout=StringIO())
    Group.objects.get(name="Finance").permissions.clear()
    out = StringIO()
    call_command("create_groups", stdout=out)
    assert "Finance is there and stays as it is." in out.getvalue()
    assert not Group.objects.get(name="Finance").permissions.exists()
    call_command("create_groups", "--again", stdout=StringIO())


@pytest.mark.parametrize(
    ("group", "path", "status"),
    [
        ("Marketer", "loyalty/earningrule/add/", 200),
        ("Marketer", "loyalty/apikey/add/", 403),
        ("Support", "loyalty/member/", 200),
        ("Support", "loyalty/reward/add/", 403),
        ("Finance", "loyalty/publishedversion/", 200),
        ("Administrator", "auth/group/", 200),
    ],
)
def test_pages_by_group(group: str, path: str, status: int):
    call_command("create_groups", "--again", stdout=StringIO())
    assert colleague(group).open(path).status_code == status


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("loyalty/reward/add/", 403, "You may not do this"),
        ("loyalty/no-such-page/", 404, "This page is not there"),
    ],
)
def test_a_refusal_is_a_page_with_a_way_back(path: str, status: int, says: str):
    call_command("create_groups", "--again", stdout=StringIO())
    page = colleague("Support").open(path)
    text = page.content.decode()
    assert (page.status_code, says in text) == (status, True)
    assert '<a href="/admin/">' in text
    assert "width=device-width" in text
