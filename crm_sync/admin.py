"""Connections with their health, and deliveries with what came of them."""

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.paginator import InfinitePaginator

from crm_sync.adapters.outcomes import Delivered
from crm_sync.forms import CONFIG_FIELDS, ConnectionForm
from crm_sync.models import Attempt, Connection, Delivery
from crm_sync.selectors import Health, list_health
from crm_sync.services import connections as services
from crm_sync.services.probe import probe
from crm_sync.services.redeliver import redeliver, redeliver_dead
from crm_sync.signing import current_secret
from loyalty.events.rules import envelope, event_id
from loyalty.events.selectors import list_member_events

_EVENT_ID = re.compile(r"evt_([0-9a-f]{32})_([0-9]{1,18})")
_COLOURS = {
    "enabled": "success",
    "failing": "warning",
    "down": "danger",
    "disabled": "",
    "pending": "info",
    "delivered": "success",
    "dead": "danger",
}


@admin.register(Connection)
class ConnectionAdmin(ModelAdmin):
    """Where events go, how far they got, and what is wrong."""

    form = ConnectionForm
    list_display = ("name", "program", "adapter", "health", "waiting", "dead", "behind")
    list_select_related = ("program",)
    actions = None
    actions_detail = ("test", "new_secret", "enable", "disable", "redeliver_all_dead")
    add_fieldsets = (
        (None, {"fields": ("program", "name", "adapter", "url", "path")}),
        (None, {"fields": ("event_types", "from_beginning")}),
    )
    readonly_fields = ("health", "reason", "waiting", "dead", "behind", "created_at")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for what a new connection may need; show of an old one what its kind has."""
        if obj is None:
            return self.add_fieldsets
        own = CONFIG_FIELDS.get(obj.adapter, ())
        settled = (None, {"fields": ("program", "name", "adapter", *own, "event_types")})
        return (settled, ("Health", {"fields": self.readonly_fields}))

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what makes sense for this connection in its present state."""
        connection = self.get_object(request, str(object_id))
        if connection is None:
            return []
        senseless = {"enable" if connection.is_enabled else "disable"}
        adapter = services.adapters().get(connection.adapter)
        if adapter is None or not adapter.is_signed:
            senseless.add("new_secret")
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
            obj.save(update_fields=["name", "config", "event_types"])
        else:
            services.add_connection(
                obj, secrets={}, from_beginning=form.cleaned_data["from_beginning"]
            )

    def response_add(
        self, request: HttpRequest, obj: Connection, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the signing secret, now and never again."""
        if services.adapters()[obj.adapter].is_signed:
            return self._show_secret(request, obj)
        response: HttpResponse = super().response_add(request, obj, post_url_continue)
        return response

    @action(description="Send a test event", icon="send", permissions=["change"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then send an event that means nothing, and say what came of it."""

        def send(connection: Connection) -> None:
            outcome = probe(connection)
            if isinstance(outcome, Delivered):
                messages.success(request, f"It was taken, in {outcome.duration_ms} ms.")
            else:
                messages.error(request, f"It was not taken. {outcome.error}")

        return self._confirm(
            request,
            object_id,
            title="Send a test event?",
            text="It has the type connection.test, is signed like any other, and means nothing.",
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

        return self._confirm(
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

        return self._confirm(
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

        return self._confirm(
            request,
            object_id,
            title="Disable?",
            text="Nothing is sent until somebody enables it again; then it continues where it "
            f"stopped, unless events are older than {settings.LOYALTY_EVENT_RETENTION_DAYS} days.",
            button="Disable",
            do=stop,
        )

    @action(description="Redeliver the dead", icon="replay", permissions=["change"])
    def redeliver_all_dead(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then give all dead deliveries all their attempts again."""

        def again(connection: Connection) -> None:
            count = redeliver_dead(connection_id=connection.pk)
            self.log_change(request, connection, f"Redelivered {count} dead deliveries.")
            messages.success(request, f"{count:,} deliveries are on their way again.")

        return self._confirm(
            request,
            object_id,
            title="Redeliver all dead deliveries?",
            text="They are sent as if for the first time, with the same ids. Later events of the "
            "same members may have arrived before them; receivers can tell by the sequence.",
            button="Redeliver",
            do=again,
        )

    @display(description="State", label=_COLOURS)
    def health(self, connection: Connection) -> str:
        """Say in one word how it is doing."""
        return _health(connection).state

    @display(description="Why")
    def reason(self, connection: Connection) -> str:
        """Say why it is disabled, or since when it fails."""
        since = _health(connection).failing_since
        failing = f"It fails since {since:%Y-%m-%d %H:%M} UTC." if since else "–"
        return connection.disabled_reason or failing

    @display(description="Waiting")
    def waiting(self, connection: Connection) -> str:
        """Say how many deliveries wait, and since when the oldest does."""
        health = _health(connection)
        since = health.oldest_pending_at
        return f"{health.pending:,}, since {timesince(since)}" if since else "–"

    @display(description="Dead")
    def dead(self, connection: Connection) -> str | SafeString:
        """Lead to the deliveries that were given up."""
        count = _health(connection).dead
        if not count:
            return "–"
        page = reverse("admin:crm_sync_delivery_changelist")
        query = f"connection__id__exact={connection.pk}&state__exact=dead"
        return format_html('<a class="ly-link" href="{}?{}">{}</a>', page, query, f"{count:,}")

    @display(description="Events behind")
    def behind(self, connection: Connection) -> str:
        """Say how many events its cursor has not reached."""
        return f"{_health(connection).behind:,}"

    def _show_secret(self, request: HttpRequest, connection: Connection) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Signing secret",
            "opts": self.opts,
            "connection": connection,
            "secret": current_secret(connection),
            "overlap_hours": f"{settings.CRM_SECRET_OVERLAP_HOURS:g}",
            "page": reverse("admin:crm_sync_connection_change", args=[connection.pk]),
        }
        template = "admin/crm_sync/connection/secret.html"
        response = TemplateResponse(request, template, context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _confirm(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        title: str,
        text: str,
        button: str,
        do: Callable[[Connection], HttpResponse | None],
    ) -> HttpResponse:
        """Show a question; do it when it is answered by POST, which another site cannot send."""
        connection = self.get_object(request, object_id)
        if connection is None:
            return HttpResponseRedirect(reverse("admin:crm_sync_connection_changelist"))
        page = reverse("admin:crm_sync_connection_change", args=[connection.pk])
        if request.method == "POST":
            return do(connection) or HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            **{"title": title, "text": text, "button": button, "page": page},
            **{"opts": self.opts, "original": connection},
        }
        return TemplateResponse(request, "admin/crm_sync/connection/confirm.html", context)


class AttemptInline(TabularInline):
    """Every attempt of a delivery, the newest first."""

    model = Attempt
    fields = readonly_fields = (
        *("at", "outcome", "status_code", "duration_ms", "error", "answer", "correlation_id"),
    )
    per_page = 20
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: attempts are made by workers."""
        return False


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):
    """What was sent, what waits, what was given up, and why; only redelivery changes it."""

    list_display = (
        "event",
        "type",
        "connection",
        "shown_state",
        "attempts",
        "last_error",
        "created_at",
    )
    list_filter = (("state", ChoicesDropdownFilter), ("connection", RelatedDropdownFilter))
    list_filter_submit = True
    list_select_related = ("connection",)
    list_per_page = 50
    search_fields = ("type",)
    search_help_text = "The id of an event or a member, or a whole event type such as points.earned"
    ordering = ("-position", "-id")
    show_full_result_count = False
    paginator = InfinitePaginator
    actions = ("redeliver_chosen",)
    inlines = (AttemptInline,)
    fields = readonly_fields = (
        *("event", "type", "connection", "shown_state", "attempts", "last_error"),
        *("created_at", "settled_at", "body"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: deliveries come from events."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what was sent was sent."""
        return False

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        """Whoever may change deliveries, in the words of Django's groups."""
        return request.user.has_perm("crm_sync.change_delivery")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never by hand: old ones are deleted at night."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Look for exactly what was asked, by an index: this table has millions of rows."""
        text = search_term.strip()
        if not text:
            return queryset, False
        found = _EVENT_ID.fullmatch(text)
        if found:
            return queryset.filter(member_id=UUID(found[1]), sequence=int(found[2])), False
        try:
            return queryset.filter(member_id=UUID(text)), False
        except ValueError:
            return queryset.filter(type=text), False

    @admin.action(description="Redeliver", permissions=["redeliver"])
    def redeliver_chosen(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        """Send settled deliveries again; those that wait are on their way anyway."""
        count = redeliver(delivery_ids=list(chosen.values_list("pk", flat=True)))
        messages.success(request, f"{count:,} deliveries are on their way again.")

    @display(description="Event")
    def event(self, delivery: Delivery) -> str:
        """Show the id that the destination knows."""
        return event_id(delivery.member_id, delivery.sequence)

    @display(description="State", label=_COLOURS, ordering="state")
    def shown_state(self, delivery: Delivery) -> str:
        """Show the state in its colour."""
        return str(delivery.state)

    @display(description="What is sent")
    def body(self, delivery: Delivery) -> SafeString | str:
        """Show the event as the destination gets it."""
        found = list_member_events(member_id=delivery.member_id, sequences=[delivery.sequence])
        if not found:
            return "The event is older than events are kept."
        text = json.dumps(envelope(found[delivery.sequence]), indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)


def _health(connection: Connection) -> Health:
    """Give the health that the list has read, or read it for a single page, once."""
    found: Health | None = getattr(connection, "found_health", None)
    if found is None:
        found = list_health([connection])[connection.pk]
        setattr(connection, "found_health", found)  # noqa: B010 -- not a field of the model
    return found
