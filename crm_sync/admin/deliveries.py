"""Deliveries with what came of them; only redelivery changes anything."""

import json
import re
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.paginator import InfinitePaginator

from crm_sync.admin.health import OUTCOMES
from crm_sync.models import Attempt, Delivery
from crm_sync.services.redeliver import redeliver
from loyalty.admin.access import as_uuid
from loyalty.admin.named import member_link, names_for
from loyalty.admin.requests import HELP, RECENT, events_of_request
from loyalty.events.catalogue import CATALOGUE
from loyalty.events.rules import envelope, event_id
from loyalty.events.selectors import list_member_events

_EVENT_ID = re.compile(r"evt_([0-9a-f]{32})_([0-9]{1,18})")
_COLOURS = {
    "pending": "info",
    "delivered": "success",
    "skipped": "primary",
    "dead": "danger",
    "parked": "warning",
}


def _caused_by(request_id: str) -> Q:
    """Tell of what a request caused, whichever connection it went to."""
    caused = Q()
    for member_id, sequence in events_of_request(request_id):
        caused |= Q(member_id=member_id, sequence=sequence)
    return caused


def _attempted_as(correlation_id: UUID | None) -> Q:
    """Tell which delivery was attempted under an id that the destination was told, by time."""
    if correlation_id is None:
        return Q()
    lately = Attempt.objects.filter(at__gte=timezone.now() - RECENT, delivery__isnull=False)
    found = lately.filter(correlation_id=correlation_id).values_list("delivery_id", flat=True)
    return Q(pk__in=list(found))


class AttemptInline(TabularInline):
    """Every attempt of a delivery, the newest first."""

    model = Attempt
    fields = readonly_fields = (
        *("at", "came_of_it", "status_code", "duration_ms", "error", "answer", "correlation_id"),
    )
    per_page = 20
    hide_title = True
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: attempts are made by workers."""
        return False

    @display(description="What came of it")
    def came_of_it(self, attempt: Attempt) -> str:
        """Say it as the connection's page does."""
        return OUTCOMES[attempt.outcome]


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):
    """What was sent, what waits, what was given up, and why; only redelivery changes it."""

    menu = (2, "send")
    empty_words = (
        "Nothing has been sent yet. Events and profiles go out as soon as there is a connection."
    )
    list_display = (
        "short_event",
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
    list_disable_select_all = True  # of rows that nobody counts
    search_fields = ("type",)
    search_help_text = (
        "The id of an event or a member, a whole event type such as points.earned, "
        f"{HELP}, or an attempt's correlation id"
    )
    ordering = ("-position", "-id")
    show_full_result_count = False
    paginator = InfinitePaginator
    actions = ("redeliver_chosen",)
    actions_detail = ("redeliver_this",)
    inlines = (AttemptInline,)
    fields = readonly_fields = (
        *("event", "type", "member", "connection", "shown_state", "attempts", "last_error"),
        *("created_at", "settled_at", "body"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: deliveries come from events."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what was sent was sent."""
        return False

    def has_redeliver_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may change deliveries, in the words of Django's groups."""
        return request.user.has_perm("crm_sync.change_delivery")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never by hand: old ones are deleted at night."""
        return False

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Name whom it is about, to who may see members."""
        found = super().get_object(request, *args, **kwargs)
        if found is not None:
            names = names_for(request, [found.member_id])
            found.member_name = names.get(found.member_id, "")
        return found

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
        id_ = as_uuid(text)
        if id_ and Delivery.objects.filter(member_id=id_).exists():
            return queryset.filter(member_id=id_), False
        if text in CATALOGUE:
            return queryset.filter(type=text), False
        caused = _caused_by(text) or _attempted_as(id_)
        return (queryset.filter(caused) if caused else queryset.none()), False

    @admin.action(description="Redeliver", permissions=["redeliver"])
    def redeliver_chosen(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        """Send settled deliveries again; those that wait are on their way anyway."""
        count = redeliver(delivery_ids=list(chosen.values_list("pk", flat=True)))
        messages.success(request, f"{count:,} deliveries are on their way again.")

    @action(description="Redeliver", icon="replay", permissions=["redeliver"])
    def redeliver_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then send this one again."""
        delivery = self.get_object(request, object_id)
        if delivery is None:
            raise Http404
        page = reverse("admin:crm_sync_delivery_change", args=[delivery.pk])
        if request.method == "POST":
            count = redeliver(delivery_ids=[delivery.pk])
            said = "It is on its way again." if count else "It waits, and is on its way anyway."
            messages.success(request, said)
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "page": page,
            "title": "Send it again?",
            "text": "It keeps its id. Later events of the same member may have arrived before it; "
            "receivers can tell by the sequence.",
            "button": "Redeliver",
        }
        return TemplateResponse(request, "admin/crm_sync/connection/confirm.html", context)

    @display(description="Member")
    def member(self, delivery: Any) -> SafeString:
        """Lead to whom it is about."""
        return member_link(delivery.member_id, delivery.member_name)

    @display(description="Event")
    def event(self, delivery: Delivery) -> str:
        """Show the id that the destination knows."""
        return event_id(delivery.member_id, delivery.sequence)

    @display(description="Event")
    def short_event(self, delivery: Delivery) -> SafeString:
        """Show the beginning and the end of that id; the whole one is told beside the pointer."""
        whole = self.event(delivery)
        short = f"{whole[:12]}…{whole[-8:]}"
        return format_html('<span title="{}">{}</span>', whole, short)

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
        return format_html('<pre class="ly-file">{}</pre>', text)
