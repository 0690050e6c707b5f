"""Sending a connection the events of a time again: first what that would do, then doing it."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action

from crm_sync.admin.questions import ConnectionPages
from crm_sync.models import Connection
from crm_sync.services.redeliver import foresee_replay, replay, why_replays_are_skipped
from loyalty.events.selectors import positions_between


class ReplayPages(ConnectionPages):
    """What a person does where a destination has lost what it was sent."""

    @action(description="Replay", icon="history", permissions=["change"])
    def replay_time(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a time, say what would be sent again and what not, then send it."""
        connection = self.connection_of(request, object_id)
        if connection is None:
            return HttpResponseRedirect("../../")
        since, until = _instant(request, "since"), _instant(request, "until")
        if request.method != "POST":
            return self._show_replay(request, connection, {})
        if since is None or until is None or since >= until:
            messages.error(request, "Give two times, the earlier one first.")
            return self._show_replay(request, connection, {})
        found = positions_between(since, until)
        if found is None:
            messages.error(request, "Nothing was recorded in this time.")
            return self._show_replay(request, connection, {})
        span = {"after_position": found[0] - 1, "up_to_position": found[1]}
        forecast = foresee_replay(connection_id=connection.pk, **span)
        if "sure" not in request.POST or forecast.why_skipped or not forecast.wanted:
            times = {"since": request.POST["since"], "until": request.POST["until"]}
            return self._show_replay(request, connection, {"forecast": forecast, **times})
        count = replay(connection_id=connection.pk, **span)
        self.log_change(request, connection, f"Replayed {count} events of {since} to {until}.")
        messages.success(request, f"{count:,} events are on their way again.")
        return HttpResponseRedirect(self.page_of(connection))

    def _show_replay(
        self, request: HttpRequest, connection: Connection, more: dict[str, Any]
    ) -> HttpResponse:
        why = why_replays_are_skipped(connection)
        return self.show(
            request, connection, "replay", {"title": "Replay a time", "why_skipped": why, **more}
        )


def _instant(request: HttpRequest, name: str) -> datetime | None:
    """Read a time of an input of the browser, which knows no zone: it is UTC."""
    try:
        return datetime.fromisoformat(request.POST.get(name, "")).replace(tzinfo=UTC)
    except ValueError:
        return None
