"""What differs at a connection: the last comparison, a new one, and putting everything right."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from crm_sync.admin.profiles import ProfilePages
from crm_sync.models import Comparison, Connection, Drift
from crm_sync.services.backfill import BackfillRefused
from crm_sync.services.compare import ComparisonRefused, start_comparison
from crm_sync.services.drift import push_all_again

_NONE = "–"


class DriftPages(ProfilePages):
    """What a person sees and does about differences at a connection."""

    @action(description="Compare", icon="difference", permissions=["change"])
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then begin to compare everybody."""

        def begin(connection: Connection) -> None:
            by = request.user.get_username()
            try:
                start_comparison(connection_id=connection.pk, by=by)
            except ComparisonRefused as error:
                messages.error(request, str(error))
                return
            self.log_change(request, connection, "Began a comparison.")
            messages.success(request, "It is under way; this page shows how far it is.")

        return self.ask(
            request,
            object_id,
            title="Compare what it has with what it was told?",
            text="Everybody's profile is read there, within the vendor's limits, and every field "
            "that loyalty owns is compared. It happens each night anyway.",
            button="Compare",
            do=begin,
        )

    @action(description="Repair all", icon="build", permissions=["change"])
    def repair(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then send the profiles of all who differ again."""

        def push(connection: Connection) -> None:
            by = request.user.get_username()
            try:
                count = push_all_again(connection_id=connection.pk, by=by)
            except BackfillRefused as error:
                messages.error(request, str(error))
                return
            self.log_change(request, connection, f"Repaired {count} members.")
            messages.success(request, f"Profiles that are sent again: {count:,}.")

        return self.ask(
            request,
            object_id,
            title="Send all profiles again that differ?",
            text="Their fields are set to what loyalty has. Whoever is not known there any more is "
            "made anew, also somebody who asked the vendor to be forgotten: look at them first.",
            button="Repair",
            do=push,
        )

    @display(description="Differences")
    def compared(self, connection: Connection) -> SafeString | str:
        """Say what the last comparison came to, and lead to what differs now."""
        last: Comparison | None = connection.comparisons.first()
        if last is None:
            return _NONE
        drifted = Drift.objects.filter(connection=connection)
        count = drifted.values("member_id").distinct().count()
        page = reverse("admin:crm_sync_drift_changelist")
        return format_html(
            '<a class="ly-link" href="{}?connection__id__exact={}">Members who differ: {}</a>; {}',
            *(page, connection.pk, f"{count:,}", _told(last)),
        )


def _told(last: Comparison) -> str:
    """Say in one sentence how far a comparison is, or how it ended."""
    by = f" by {last.started_by}" if last.started_by else ""
    untold = f", {last.untold:,} not told everything yet" if last.untold else ""
    wrong = f" ({last.last_error})" if last.last_error else ""
    return (
        f"{last.state}{wrong}: {last.compared:,} compared{untold}, {last.drifted:,} differed; "
        f"begun {last.started_at:%Y-%m-%d %H:%M} UTC{by}"
    )
