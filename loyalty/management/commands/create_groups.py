"""`manage.py create_groups`: the groups of colleagues, and what each may do."""

from argparse import ArgumentParser
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand

_LOOK: Final = (
    "loyalty.view_*",
    "crm_sync.view_connection",
    "crm_sync.view_delivery",
    "crm_sync.view_drift",
    "crm_sync.view_source",
    "crm_sync.view_inboxmessage",
    "crm_sync.view_leftoutperson",
)
_PROGRAM: Final = (
    "program",
    "pointcurrency",
    "tierlevel",
    "earningrule",
    "campaign",
    "reward",
    "store",
    "codepool",
    "segment",
    "backtest",
)

# Patterns of rights: a part of a program that the engine learns later is covered by its name.
GROUPS: Final = {
    "Marketer": (*_LOOK, *(f"loyalty.*_{part}" for part in _PROGRAM)),
    "Support": (*_LOOK, "loyalty.change_member", "loyalty.add_ledgertransaction"),
    "Finance": (*_LOOK, "loyalty.approve_*"),
    "Administrator": ("loyalty.*", "crm_sync.*", "auth.*"),
}


class Command(BaseCommand):
    """Make the groups that are missing; what somebody has made of the others stays."""

    help = "Make the groups Marketer, Support, Finance and Administrator with their rights."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the one option."""
        parser.add_argument(
            "--again",
            action="store_true",
            help="give groups that are there their rights anew, after an upgrade for example",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make each group that is missing."""
        rights = list(Permission.objects.select_related("content_type"))
        for name, patterns in GROUPS.items():
            group, created = Group.objects.get_or_create(name=name)
            if not created and not options["again"]:
                self.stdout.write(f"{name} is there and stays as it is.")
                continue
            group.permissions.set(_matching(rights, patterns))
            self.stdout.write(f"{name} may do {group.permissions.count()} things.")


def _matching(rights: Iterable[Permission], patterns: Iterable[str]) -> list[Permission]:
    wanted = tuple(patterns)
    return [right for right in rights if any(fnmatchcase(_name(right), p) for p in wanted)]


def _name(right: Permission) -> str:
    return f"{right.content_type.app_label}.{right.codename}"
