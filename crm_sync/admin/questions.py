"""Pages that ask before something is done, and do it when they are answered by POST."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from crm_sync.models import Connection

Do = Callable[[Connection], HttpResponse | None]


class ConnectionPages(ModelAdmin):
    """What the pages of a connection have in common."""

    def connection_of(self, request: HttpRequest, object_id: str) -> Connection | None:
        """Give the connection that a page is about, if whoever asks may see it."""
        found: Connection | None = self.get_object(request, object_id)
        return found

    def page_of(self, connection: Connection) -> str:
        """Give the address of a connection's page."""
        return reverse("admin:crm_sync_connection_change", args=[connection.pk])

    def ask(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        title: str,
        text: str,
        button: str,
        do: Do,
    ) -> HttpResponse:
        """Show a question; do it when it is answered by POST, which another site cannot send."""
        connection = self.connection_of(request, object_id)
        if connection is None:
            return HttpResponseRedirect(reverse("admin:crm_sync_connection_changelist"))
        if request.method == "POST":
            return do(connection) or HttpResponseRedirect(self.page_of(connection))
        return self.show(
            request, connection, "confirm", {"title": title, "text": text, "button": button}
        )

    def show(
        self, request: HttpRequest, connection: Connection, template: str, more: dict[str, Any]
    ) -> HttpResponse:
        """Show a page about a connection."""
        context = {
            **self.admin_site.each_context(request),
            "page": self.page_of(connection),
            "opts": self.opts,
            "original": connection,
            "connection": connection,
            **more,
        }
        return TemplateResponse(request, f"admin/crm_sync/connection/{template}.html", context)
