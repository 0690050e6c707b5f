"""The inbox: what came in, what came of it, and what waits for a person."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.paginator import InfinitePaginator

from crm_sync import vault
from crm_sync.adapters.access import SecretMissing
from crm_sync.inbound.deciding import choose_member, settle_by_hand, try_again
from crm_sync.inbound.models import InboxMessage
from loyalty.admin.access import names_of

_COLOURS = {
    **{"pending": "info", "done": "success", "ignored": "", "kept": ""},
    **{"dead": "danger", "parked": "warning"},
}
_MAY_DECIDE = "crm_sync.change_inboxmessage"


@admin.register(InboxMessage)
class InboxMessageAdmin(ModelAdmin):
    """What came in; only a person's decision about what was given up changes anything."""

    menu = (5, "inbox")
    empty_words = (
        "No message has come in yet. What a source sends stands here, with what came of it."
    )
    list_display = ("topic", "source", "shown_state", "note", "attempts", "received_at")
    list_filter = (("state", ChoicesCheckboxFilter), ("source", RelatedDropdownFilter))
    list_filter_submit = True
    list_select_related = ("source",)
    list_per_page = 50
    search_fields = ("message_id",)
    search_help_text = "The vendor's id of a message or a person, or the id of a member"
    ordering = ("-id",)
    show_full_result_count = False
    paginator = InfinitePaginator
    actions = ("try_chosen_again", "settle_chosen")
    actions_detail = ("choose",)
    fields = readonly_fields = (
        *("topic", "source", "shown_state", "note", "attempts", "next_at", "message_id"),
        *("person", "member_id", "received_at", "settled_at", "said"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: vendors write messages."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what was said was said."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never by hand: old ones are deleted at night."""
        return False

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may change messages, in the words of Django's groups."""
        return request.user.has_perm(_MAY_DECIDE)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InboxMessage], search_term: str
    ) -> tuple[QuerySet[InboxMessage], bool]:
        """Look for exactly what was asked."""
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(member_id=UUID(text)), False
        except ValueError:
            found = queryset.filter(message_id=text) | queryset.filter(person=text)
            return found, False

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer a choice where there is one."""
        message = self.get_object(request, str(object_id))
        if message is None or message.state != "parked" or not message.candidates:
            return []
        return list(super().get_actions_detail(request, object_id))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what was said only to those who may decide about it: it names people."""
        may_see = self.has_decide_permission(request)
        return [name for name in self.fields if may_see or name != "said"]

    @admin.action(description="Try again", permissions=["decide"])
    def try_chosen_again(self, request: HttpRequest, chosen: QuerySet[InboxMessage]) -> None:
        """Let what was given up be worked on again."""
        count = try_again(message_ids=list(chosen.values_list("pk", flat=True)))
        messages.success(request, f"{count:,} messages are worked on again.")

    @admin.action(description="Settled by hand", permissions=["decide"])
    def settle_chosen(self, request: HttpRequest, chosen: QuerySet[InboxMessage]) -> None:
        """Take the person's word that nothing is left to do."""
        ids = list(chosen.values_list("pk", flat=True))
        count = settle_by_hand(message_ids=ids, by=request.user.get_username())
        messages.success(request, f"{count:,} messages are settled; what they said is deleted.")

    @action(description="Choose", icon="person_search", permissions=["decide"])
    def choose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show who may be meant; take the person's word for who is."""
        message: InboxMessage | None = self.get_object(request, object_id)
        if message is None or not message.candidates:
            return HttpResponseRedirect(reverse("admin:crm_sync_inboxmessage_changelist"))
        page = reverse("admin:crm_sync_inboxmessage_change", args=[message.pk])
        chosen = request.POST.get("member", "")
        if request.method == "POST" and chosen in message.candidates:
            count = choose_member(message_id=message.pk, member_id=UUID(chosen))
            messages.success(request, f"{count:,} messages go on.")
            return HttpResponseRedirect(page)
        names = names_of(UUID(member) for member in message.candidates)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": message,
            "page": page,
            "candidates": [(str(member), name) for member, name in names.items()],
        }
        return TemplateResponse(request, "admin/crm_sync/inboxmessage/choose.html", context)

    @display(description="State", label=_COLOURS, ordering="state")
    def shown_state(self, message: InboxMessage) -> str:
        """Show the state in its colour."""
        return str(message.state)

    @display(description="What was said")
    def said(self, message: InboxMessage) -> SafeString | str:
        """Show the message as it came."""
        if not message.content:
            return "It is settled, and was deleted."
        try:
            content = vault.unseal(message.content)["content"]
        except SecretMissing as error:
            return str(error)
        text = json.dumps(json.loads(content), indent=2, ensure_ascii=False)
        return format_html('<pre class="ly-file">{}</pre>', text)
