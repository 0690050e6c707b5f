"""How a connection is doing, as its row in the list and its page say it."""

from typing import Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin
from unfold.decorators import display

from crm_sync.models import Attempt, Connection
from crm_sync.selectors import Health, list_health, recent_outcomes

_COLOURS: Final = {"enabled": "success", "failing": "warning", "down": "danger", "disabled": ""}
OUTCOMES: Final[dict[str, str]] = {
    Attempt.Outcome.DELIVERED: "delivered",
    Attempt.Outcome.RETRYABLE: "failed and tried again",
    Attempt.Outcome.PERMANENT: "refused",
    Attempt.Outcome.AMBIGUOUS: "in doubt",
    Attempt.Outcome.CONFIGURATION: "refused as it is set up",
    Attempt.Outcome.SKIPPED: "skipped",
    Attempt.Outcome.FENCED: "left to another worker",
}


class HealthColumns(ModelAdmin):
    """State, what waits, what was given up, and why."""

    @display(description="State", label=_COLOURS)
    def health(self, connection: Connection) -> str:
        """Say in one word how it is doing."""
        return _health(connection).state

    @display(description="Why")
    def reason(self, connection: Connection) -> str:
        """Say why it is disabled, or since when it fails and what it answered last."""
        health = _health(connection)
        since = health.failing_since
        failing = f"It fails since {since:%Y-%m-%d %H:%M} UTC. {health.last_error}" if since else ""
        return connection.disabled_reason or failing.strip() or "–"

    @display(description="Waiting")
    def waiting(self, connection: Connection) -> str:
        """Say how many deliveries wait, and since when the oldest does."""
        health = _health(connection)
        since = health.oldest_pending_at
        return f"{health.pending:,}, since {timesince(since)}" if since else "–"

    @display(description="Dead")
    def dead(self, connection: Connection) -> str | SafeString:
        """Lead to the deliveries that were given up."""
        return _link_to_deliveries(connection, "dead", _health(connection).dead)

    @display(description="Parked")
    def parked(self, connection: Connection) -> str | SafeString:
        """Lead to the deliveries that wait for a person's word."""
        return _link_to_deliveries(connection, "parked", _health(connection).parked)

    @display(description="Events behind")
    def behind(self, connection: Connection) -> str:
        """Say how many events its cursor has not reached."""
        return f"{_health(connection).behind:,}"

    @display(description="Lately")
    def lately(self, connection: Connection) -> str:
        """Say what came of the attempts of the last day, by kind, and how many a minute."""
        counted = recent_outcomes(connection, minutes=1440)
        if not counted:
            return "–"
        rate = sum(recent_outcomes(connection, minutes=5).values()) / 5
        kinds = ", ".join(f"{count:,} {OUTCOMES[kind]}" for kind, count in sorted(counted.items()))
        return f"{kinds} in 24 hours; {rate:.1f} a minute now"


def _link_to_deliveries(connection: Connection, state: str, count: int) -> str | SafeString:
    if not count:
        return "–"
    page = reverse("admin:crm_sync_delivery_changelist")
    query = f"connection__id__exact={connection.pk}&state__exact={state}"
    return format_html('<a class="ly-link" href="{}?{}">{}</a>', page, query, f"{count:,}")


def _health(connection: Connection) -> Health:
    """Give the health that the list has read, or read it for a single page, once."""
    found: Health | None = getattr(connection, "found_health", None)
    if found is None:
        found = list_health([connection])[connection.pk]
        setattr(connection, "found_health", found)  # noqa: B010 -- not a field of the model
    return found
