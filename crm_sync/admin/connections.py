"""Connections: where events go, how far they got, and what is wrong."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from crm_sync.adapters.outcomes import Delivered
from crm_sync.admin.drift import DriftPages
from crm_sync.admin.health import HealthColumns
from crm_sync.admin.left_out import say_who_was_left_out
from crm_sync.admin.notices import say_what_is_missing
from crm_sync.admin.profiles import FieldInline
from crm_sync.admin.replays import ReplayPages
from crm_sync.admin.segments import SegmentInline
from crm_sync.forms import (
    form_for,
    keeps_profiles,
    lists_segments,
    settings_of,
    shows_what_it_has,
)
from crm_sync.models import Connection, PollCursor
from crm_sync.selectors import list_health
from crm_sync.services import connections as services
from crm_sync.services.backfill import count_waiting, open_backfill
from crm_sync.services.probe import probe
from crm_sync.services.redeliver import redeliver_dead
from crm_sync.signing import current_secret
from loyalty.admin.access import only_program

_LOCAL = {"127.0.0.1", "localhost", "::1"}
_EVENT_ACTIONS = ("redeliver_all_dead", "replay_time")
_PROFILE_ACTIONS = ("preview", "backfill", "people")
_DRIFT_ACTIONS = ("compare", "repair")
_BACKFILL_ACTIONS = ("pause_backfill", "resume_backfill", "cancel_backfill")


@admin.register(Connection)
class ConnectionAdmin(HealthColumns, DriftPages, ReplayPages):
    """Where events go, how far they got, and what is wrong."""

    menu = (1, "hub")
    empty_words = (
        "No connection yet. Add where events and profiles are to go: a CRM, or an address of "
        "your own."
    )
    list_display = ("name", "program", "kind", "health", "waiting", "dead", "behind")
    list_select_related = ("program",)
    actions = None
    actions_detail = (
        *("test", "new_secret", "enable", "disable"),
        {"title": "Events", "icon": "bolt", "items": _EVENT_ACTIONS},
        {"title": "Profiles", "icon": "group", "items": _PROFILE_ACTIONS + _BACKFILL_ACTIONS},
        {"title": "Differences", "icon": "difference", "items": _DRIFT_ACTIONS},
    )
    readonly_fields = (
        *(
            "health",
            "reason",
            "waiting",
            "dead",
            "parked",
            "behind",
            "lately",
            "notice",
            "backfilled",
            "compared",
            "taken_in",
            "local_page",
        ),
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave out those that were removed over the API."""
        return super().get_queryset(request).filter(removed_at=None)

    def get_form(self, request: HttpRequest, obj: Any = None, *args: Any, **more: Any) -> Any:
        """Ask for what this kind of destination needs."""
        more["form"] = form_for(_kind(request, obj))
        return super().get_form(request, obj, *args, **more)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        """Carry the kind that was chosen into the form."""
        given = super().get_changeform_initial_data(request)
        return {**only_program(), **given, "adapter": _kind(request, None)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what its kind has."""
        kind = _kind(request, obj)
        own = [setting.name for setting in settings_of(kind)]
        first = (None, {"fields": ["program", "name", "adapter", *own]})
        rest = (None, {"fields": ["event_types", *_choices(kind)]})
        if obj is None:
            rest[1]["fields"].append("from_beginning")
            return (first, rest)
        return (first, rest, ("Health", {"fields": self.readonly_fields}))

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Offer the mapping where profiles are kept; a new one begins with its kind's defaults."""
        if obj is None:
            return []
        fields = [FieldInline] if keeps_profiles(obj.adapter) else []
        return [*fields, SegmentInline] if lists_segments(obj.adapter) else fields

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Ask for the kind first."""
        if _kind(request, None) not in services.adapters() and request.method == "GET":
            kinds = [(name, adapter.title) for name, adapter in services.adapters().items()]
            context = {**self.admin_site.each_context(request), "opts": self.opts, "kinds": kinds}
            return TemplateResponse(request, "admin/crm_sync/connection/choose.html", context)
        return super().add_view(request, form_url, extra_context)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what makes sense for this connection in its present state."""
        connection = self.get_object(request, str(object_id))
        if connection is None:
            return []
        senseless = _senseless_actions(connection)
        offered = super().get_actions_detail(request, object_id)
        return [action for action in offered if action.path not in senseless]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: a connection is disabled, and what it was sent stays on record."""
        return False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the health of all shown connections at once."""
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        found = list_health(page.result_list)
        for connection in page.result_list:
            connection.found_health = found[connection.pk]
        return page

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        """Write only what the form shows; state and secrets belong to the services."""
        if change:
            obj.save(update_fields=["name", "config", "event_types", *_choices(obj.adapter)])
            services.store_secrets(connection_id=obj.pk, given=form.secrets)
        else:
            services.add_connection(
                obj, secrets=form.secrets, from_beginning=form.cleaned_data["from_beginning"]
            )

    def response_add(
        self, request: HttpRequest, obj: Connection, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the signing secret, now and never again."""
        if services.adapters()[obj.adapter].is_signed:
            return self._show_secret(request, obj)
        response: HttpResponse = super().response_add(request, obj, post_url_continue)
        return response

    @action(description="Test", icon="send", permissions=["change"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then send an event that means nothing, and say what came of it."""

        def send(connection: Connection) -> None:
            outcome = probe(connection)
            if isinstance(outcome, Delivered):
                messages.success(request, f"It was taken, in {outcome.duration_ms} ms.")
            else:
                messages.error(request, f"It was not taken. {outcome.error}")

        return self.ask(
            request,
            object_id,
            title="Send a test event?",
            text="It has the type connection.test, goes the way of any other, and means nothing.",
            button="Send",
            do=send,
        )

    @action(description="New secret", icon="key", permissions=["change"])
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then begin a new signing secret, and show it once."""

        def rotate(connection: Connection) -> HttpResponse:
            rotated = services.rotate_secret(connection_id=connection.pk)
            self.log_change(request, connection, "Began a new signing secret.")
            return self._show_secret(request, rotated)

        return self.ask(
            request,
            object_id,
            title="Begin a new signing secret?",
            text="Deliveries carry signatures of both the new and the present secret for "
            f"{settings.CRM_SECRET_OVERLAP_HOURS:g} hours; give the new one to the receiver "
            "meanwhile.",
            button="Begin a new secret",
            do=rotate,
        )

    @action(description="Enable", icon="play_arrow", permissions=["change"])
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then let it continue where it stopped."""

        def start(connection: Connection) -> None:
            services.enable_connection(connection_id=connection.pk)
            self.log_change(request, connection, "Enabled.")
            messages.success(request, f"{connection} continues where it stopped.")

        return self.ask(
            request,
            object_id,
            title="Enable?",
            text="It continues where it stopped: everything since then is sent, in order.",
            button="Enable",
            do=start,
        )

    @action(description="Disable", icon="pause", permissions=["change"])
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then stop it."""

        def stop(connection: Connection) -> None:
            reason = f"Disabled by {request.user.get_username()}."
            services.disable_connection(connection_id=connection.pk, reason=reason)
            self.log_change(request, connection, "Disabled.")
            messages.success(request, f"{connection} is disabled; nothing is lost.")

        return self.ask(
            request,
            object_id,
            title="Disable?",
            text="Nothing is sent until somebody enables it again; then it continues where it "
            f"stopped, unless events are older than {settings.LOYALTY_EVENT_RETENTION_DAYS} days.",
            button="Disable",
            do=stop,
        )

    @action(description="Redeliver dead ones", icon="replay", permissions=["change"])
    def redeliver_all_dead(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then give all dead deliveries all their attempts again."""

        def again(connection: Connection) -> None:
            count = redeliver_dead(connection_id=connection.pk)
            self.log_change(request, connection, f"Redelivered {count} dead deliveries.")
            messages.success(request, f"{count:,} deliveries are on their way again.")

        return self.ask(
            request,
            object_id,
            title="Redeliver all dead deliveries?",
            text="They are sent as if for the first time, with the same ids. Later events of the "
            "same members may have arrived before them; receivers can tell by the sequence.",
            button="Redeliver",
            do=again,
        )

    @display(description="Kind")
    def kind(self, connection: Connection) -> str:
        """Name the kind of destination as its vendor does."""
        found = services.adapters().get(connection.adapter)
        return found.title.partition(":")[0] if found else connection.adapter

    @display(description="Asked for changes")
    def taken_in(self, connection: Connection) -> str | SafeString:
        """Say when the vendor was last asked for consent and segments, and why it was in vain."""
        found = PollCursor.objects.filter(pk=connection.pk).first()
        if found is None:
            return "–"
        asked = f"{found.asked_at:%Y-%m-%d %H:%M} UTC" if found.asked_at else "Not yet"
        return say_who_was_left_out(connection, f"{asked}. {found.last_error}".strip(". "))

    @display(description="Notice")
    def notice(self, connection: Connection) -> str | SafeString:
        """Say what it cannot do as it is set up at the vendor."""
        return say_what_is_missing(connection)

    @display(description="Backfill")
    def backfilled(self, connection: Connection) -> str:
        """Say how far the last backfill is, and whose profiles are in doubt."""
        last = connection.backfills.first()
        if last is None:
            return "–"
        waiting = count_waiting(connection.pk)
        by = f" by {last.started_by}" if last.started_by else ""
        return (
            f"{last.state}: {last.walked:,} of {last.total:,} members, {waiting:,} of them waiting;"
            f" begun {last.started_at:%Y-%m-%d %H:%M} UTC{by}"
        )

    @display(description="Sandbox")
    def local_page(self, connection: Connection) -> str | SafeString:
        """Lead to the page of a sandbox on this machine."""
        address = str(connection.config.get("address") or connection.config.get("url") or "")
        if not settings.CRM_ALLOW_PRIVATE_ADDRESSES or urlsplit(address).hostname not in _LOCAL:
            return "–"
        text = "whom it knows, and what happened to them"
        return format_html('<a class="ly-link" href="{}" target="_blank">{}</a>', address, text)

    def _show_secret(self, request: HttpRequest, connection: Connection) -> HttpResponse:
        response = self.show(
            request,
            connection,
            "secret",
            {
                "title": "Signing secret",
                "secret": current_secret(connection),
                "overlap_hours": f"{settings.CRM_SECRET_OVERLAP_HOURS:g}",
            },
        )
        response.headers["Cache-Control"] = "no-store"
        return response


def _kind(request: HttpRequest, connection: Connection | None) -> str:
    if connection is not None:
        return connection.adapter
    return request.POST.get("adapter") or request.GET.get("adapter") or ""


def _choices(kind: str) -> list[str]:
    """List what a person chooses for a connection of this kind."""
    shares = ["shares_email", "shares_phone", "matches_unverified"] if keeps_profiles(kind) else []
    repairs = ["repairs_drift"] if shows_what_it_has(kind) else []
    return [*shares, *repairs, "calls_at_once"]


def _senseless_actions(connection: Connection) -> set[str]:
    senseless = {"enable" if connection.is_enabled else "disable"}
    if not shows_what_it_has(connection.adapter):
        senseless |= set(_DRIFT_ACTIONS)
    elif not connection.drifts.exists():
        senseless.add("repair")
    adapter = services.adapters().get(connection.adapter)
    if adapter is None or not adapter.is_signed:
        senseless.add("new_secret")
    if not keeps_profiles(connection.adapter):
        return senseless | {*_PROFILE_ACTIONS, *_BACKFILL_ACTIONS}
    running = open_backfill(connection.pk)
    if running is None:
        return senseless | set(_BACKFILL_ACTIONS)
    paused = running.state == "paused"
    return senseless | {"backfill", "pause_backfill" if paused else "resume_backfill"}
