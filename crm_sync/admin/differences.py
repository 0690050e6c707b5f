"""Differences, one field of one member each: what is there, what should be, since when."""

from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from crm_sync.admin.found import FoundAdmin
from crm_sync.models import Drift
from crm_sync.services.drift import push_again
from loyalty.admin.named import NamesMembers


@admin.register(Drift)
class DriftAdmin(NamesMembers, FoundAdmin):
    """What vendors have otherwise than they were told; only sending it again changes anything."""

    menu = (3, "difference")
    empty_words = (
        "Nothing differs. Each night the profiles at every connection are compared with what "
        "they were told."
    )
    list_display = ("member", "connection", "field", "there", "here", "since", "pushed_at")
    search_fields = ("name",)
    search_help_text = "The id of a member, or a vendor's field"
    ordering = ("-since", "-id")
    actions = ("push_chosen_again",)
    text_field = "name"

    @admin.action(description="Send these members' profiles again", permissions=["decide"])
    def push_chosen_again(self, request: HttpRequest, chosen: QuerySet[Drift]) -> None:
        """Send the profiles of these members again, whole."""
        members: dict[int, set[UUID]] = {}
        for connection_id, member_id in chosen.values_list("connection_id", "member_id"):
            members.setdefault(connection_id, set()).add(member_id)
        count = sum(
            push_again(connection_id=connection_id, member_ids=ids)
            for connection_id, ids in members.items()
        )
        messages.success(request, f"Profiles that are sent again: {count:,}.")

    @display(description="Field")
    def field(self, drift: Drift) -> str:
        """Name the vendor's field."""
        return drift.name or "not known there"
