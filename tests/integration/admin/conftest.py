"""A marketer's browser without a browser; what is saved is committed, see tests/factories.py."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.factories import Till, clock, committed, open_till, unique
from tests.integration.admin.forms import Marketer

__all__ = ["clock", "committed"]


@pytest.fixture
def till() -> Till:
    """Return a till of a program of the test's own."""
    return open_till()


@pytest.fixture
def marketer() -> Marketer:
    """Return a colleague who may do everything."""
    user = User.objects.create_superuser(unique("marta"), "", "pw")
    client = Client()
    client.force_login(user)
    return Marketer(client, user)


@pytest.fixture
def colleague() -> Marketer:
    """Return a colleague who may look at members, and nothing else."""
    user = User.objects.create_user(unique("cleo"), "", "pw", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_member"))
    client = Client()
    client.force_login(user)
    return Marketer(client, user)
