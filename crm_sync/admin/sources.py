"""Sources: who sends to us, where, and how much of it waits."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from crm_sync.inbound import sources as services
from crm_sync.inbound.forms import form_for, settings_of
from crm_sync.inbound.models import OrderCursor, Source
from crm_sync.inbound.selectors import Inbox, count_open
from crm_sync.inbound.vendors import KINDS
from loyalty.admin.access import only_program

_CHOICES = ("matches_unverified", "is_enabled")
_SHOWN = ("listens_at", "waiting", "for_people", "reconciled", "created_at")


@admin.register(Source)
class SourceAdmin(ModelAdmin):
    """Who sends to us, where, and how much of it waits."""

    menu = (4, "input")
    empty_words = "No source yet. Add who tells us something: a shop, a CRM, a system of your own."
    list_display = ("name", "program", "kind", "is_enabled", "waiting", "for_people")
    list_select_related = ("program",)
    actions = None
    actions_detail = ("new_secret", "remove")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave out those that were removed."""
        return super().get_queryset(request).filter(removed_at=None)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count what waits at all shown sources at once."""
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        found = count_open([source.pk for source in page.result_list])
        for source in page.result_list:
            source.found_inbox = found[source.pk]
        return page

    def get_form(self, request: HttpRequest, obj: Any = None, *args: Any, **more: Any) -> Any:
        """Ask for what this kind of source needs."""
        more["form"] = form_for(_kind(request, obj))
        return super().get_form(request, obj, *args, **more)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        """Carry the kind that was chosen into the form."""
        given = super().get_changeform_initial_data(request)
        return {**only_program(), **given, "kind": _kind(request, None)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what its kind has, and its address once it has one."""
        kind = _kind(request, obj)
        own = [setting.name for setting in settings_of(kind)]
        if kind in KINDS and not KINDS[kind].makes_secret:
            own.append("secret")
        first = (None, {"fields": ["program", "name", "kind", "connection", *own, *_CHOICES]})
        if obj is None:
            return (first,)
        return (first, ("Inbox", {"fields": list(_SHOWN)}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the address as whoever asks would reach it."""
        self._base = request.build_absolute_uri("/")
        return () if obj is None else _SHOWN

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Ask for the kind first."""
        if _kind(request, None) not in KINDS and request.method == "GET":
            kinds = [(name, kind.title) for name, kind in KINDS.items()]
            context = {**self.admin_site.each_context(request), "opts": self.opts, "kinds": kinds}
            return TemplateResponse(request, "admin/crm_sync/source/choose.html", context)
        return super().add_view(request, form_url, extra_context)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer a new secret where we make it."""
        source = self.get_object(request, str(object_id))
        offered = super().get_actions_detail(request, object_id)
        if source is None or not KINDS[source.kind].makes_secret:
            return [action for action in offered if action.path != "new_secret"]
        return list(offered)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: a source is removed, and what it sent stays on record."""
        return False

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """Write what the form shows; the secret belongs to the service."""
        if not change:
            obj.made_secret = services.add_source(obj, secret=form.secret)  # type: ignore[attr-defined]
            return
        obj.save(update_fields=["name", "config", "connection", *_CHOICES])
        if form.secret:
            services.change_secret(source_id=obj.pk, secret=form.secret)
            self.log_change(request, obj, "Entered a new secret.")

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the address, and the secret if we made it: now and never again."""
        return self._show_secret(request, obj, obj.made_secret)

    @action(description="New secret", icon="key", permissions=["change"])
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then begin a new secret, and show it once."""
        source = self.get_object(request, object_id)
        if source is None or not KINDS[source.kind].makes_secret:
            return HttpResponseRedirect("../../")
        if request.method != "POST":
            text = (
                f"The present one is accepted for {settings.CRM_SECRET_OVERLAP_HOURS:g} hours more."
            )
            return self._ask(request, source, "Begin a new secret?", text, "Begin a new secret")
        secret = services.change_secret(source_id=source.pk)
        self.log_change(request, source, "Began a new secret.")
        source.refresh_from_db()
        return self._show_secret(request, source, secret)

    @action(description="Remove", icon="delete", permissions=["change"])
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then close its address."""
        source = self.get_object(request, object_id)
        if source is None:
            return HttpResponseRedirect("../../")
        if request.method != "POST":
            text = "Its address answers 404 from now on. What waits in its inbox stays there."
            return self._ask(request, source, "Remove this source?", text, "Remove")
        services.remove_source(source_id=source.pk)
        self.log_change(request, source, "Removed.")
        messages.success(request, f"{source} is removed.")
        return HttpResponseRedirect(reverse("admin:crm_sync_source_changelist"))

    @display(description="Address")
    def listens_at(self, source: Source) -> str:
        """Show where it is sent to."""
        return f"{self._base}inbound/{source.key_id}"

    @display(description="Waiting")
    def waiting(self, source: Source) -> str:
        """Say how many messages wait to be worked on."""
        count = _inbox(source).waiting
        return f"{count:,}" if count else "–"

    @display(description="For a person")
    def for_people(self, source: Source) -> str | SafeString:
        """Lead to the messages that were given up or parked."""
        count = _inbox(source).for_people
        if not count:
            return "–"
        page = reverse("admin:crm_sync_inboxmessage_changelist")
        query = f"source__id__exact={source.pk}&state__in=dead&state__in=parked"
        return format_html('<a class="ly-link" href="{}?{}">{}</a>', page, query, f"{count:,}")

    @display(description="Asked for orders")
    def reconciled(self, source: Source) -> str:
        """Say up to when the shop's own list of orders was read, and why it was in vain."""
        found = OrderCursor.objects.filter(pk=source.pk).first()
        if found is None:
            return "–"
        read = f"Up to {found.since:%Y-%m-%d %H:%M} UTC"
        return f"{read}. {found.last_error}" if found.last_error else read

    def _ask(
        self, request: HttpRequest, source: Source, title: str, text: str, button: str
    ) -> HttpResponse:
        return self._page(request, source, "confirm", title=title, text=text, button=button)

    def _show_secret(self, request: HttpRequest, source: Source, secret: str) -> HttpResponse:
        shown = secret if KINDS[source.kind].makes_secret else ""
        response = self._page(
            request,
            source,
            "secret",
            title="Secret",
            secret=shown,
            address=request.build_absolute_uri(f"/inbound/{source.key_id}"),
            overlap_hours=f"{settings.CRM_SECRET_OVERLAP_HOURS:g}",
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def _page(
        self, request: HttpRequest, source: Source, template: str, **more: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": source,
            "source": source,
            "page": reverse("admin:crm_sync_source_change", args=[source.pk]),
            **more,
        }
        return TemplateResponse(request, f"admin/crm_sync/source/{template}.html", context)


def _kind(request: HttpRequest, source: Source | None) -> str:
    if source is not None:
        return source.kind
    return request.POST.get("kind") or request.GET.get("kind") or ""


def _inbox(source: Source) -> Inbox:
    found: Inbox | None = getattr(source, "found_inbox", None)
    return found or count_open([source.pk])[source.pk]
