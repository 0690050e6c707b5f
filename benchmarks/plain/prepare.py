"""Make the baseline's tables and members, and print its key."""

import os
from datetime import timedelta

import django
from django.core.management import call_command
from django.utils import timezone

from benchmarks import tills

KEY = "plain-key"


def prepare() -> None:
    """Write what the tills need."""
    from benchmarks.plain import models

    call_command("migrate", run_syncdb=True, verbosity=0)
    models.ApiKey.objects.create(key=KEY, name="till")
    models.EarningRule.objects.create(code="base", points=1)
    models.EarningRule.objects.create(code="double-produce", multiply=2, category="PRODUCE")
    members = models.Member.objects.bulk_create(
        models.Member(card=tills.card(number)) for number in range(tills.MEMBERS)
    )
    now = timezone.now()
    first = models.Transaction.objects.create(
        member=members[0], kind="adjust", points=0, source_ref="", store="", occurred_at=now
    )
    points = tills.POINTS_AT_FIRST
    models.Balance.objects.bulk_create(
        models.Balance(member=member, available=points, version=1) for member in members
    )
    models.Lot.objects.bulk_create(
        models.Lot(
            member=member,
            transaction=first,
            granted=points,
            available=points,
            expires_at=now + timedelta(days=300),
        )
        for member in members
    )


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.plain.settings"
    django.setup()
    prepare()
    print(KEY)
