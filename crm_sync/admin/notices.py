"""What a connection cannot do as it is set up at the vendor, said on its page."""

from typing import Final

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from crm_sync.models import Connection, InboxMessage, Source

# Vendors that are asked, and tell by themselves only those whose plan has webhooks.
_NEED_A_PLAN: Final = {"klaviyo": "Klaviyo"}


def say_what_is_missing(connection: Connection) -> str | SafeString:
    """Say what deliveries have found missing, and where polls stand in for webhooks."""
    found: list[str] = [connection.relay.notice] if connection.relay.notice else []
    vendor = _NEED_A_PLAN.get(connection.adapter)
    if vendor and not _has_webhooks(connection):
        found.append(_say_it_is_polled(connection, vendor))
    return format_html_join(" ", "{}", ((one,) for one in found)) or "–"


def _has_webhooks(connection: Connection) -> bool:
    """Say whether the vendor's webhooks come in; of another account's nothing follows."""
    sources = Source.objects.filter(
        Q(connection=connection) | Q(connection=None),
        program_id=connection.program_id,
        kind=connection.adapter,
        is_enabled=True,
        removed_at=None,
    )
    # Two queries: a join may read the whole inbox of another source to find nothing.
    ids = list(sources.values_list("pk", flat=True))
    return bool(ids) and InboxMessage.objects.filter(source__in=ids).exists()


def _say_it_is_polled(connection: Connection, vendor: str) -> SafeString:
    return format_html(
        "Consent and changes are asked for every {} seconds, since no webhooks of {} come in; with "
        "webhooks ({}'s plan must allow them) consent comes in at once: add a "
        '<a class="ly-link" href="{}?kind={}">source of them</a>.',
        settings.CRM_POLL_SECONDS,
        vendor,
        vendor,
        reverse("admin:crm_sync_source_add"),
        connection.adapter,
    )
