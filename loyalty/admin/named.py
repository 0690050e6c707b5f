"""Lists whose rows belong to members, who are named as far as the reader may know them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from loyalty.admin.access import ReadOnlyAdmin, names_of
from loyalty.programs.admin.actors import NamesActors


class NamesMembers(NamesActors, ReadOnlyAdmin):
    """A list with a column of members; an id alone would tell nobody who that is."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Name the members of the page at once, to those who may see them."""
        page = super().get_changelist_instance(request)
        names = names_for(request, [row.member_id for row in page.result_list])
        for row in page.result_list:
            row.member_title = names.get(row.member_id, "")
        return page

    def link_to(self, request: HttpRequest, member_id: UUID) -> SafeString:
        """Lead from the page of one row to its member."""
        return member_link(member_id, names_for(request, [member_id]).get(member_id, ""))

    @display(description="Member")
    def member(self, row: Any) -> SafeString:
        """Lead to the member."""
        return member_link(row.member_id, row.member_title)


def names_for(request: HttpRequest, member_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Name members as far as the reader may know them."""
    return names_of(member_ids) if request.user.has_perm("loyalty.view_member") else {}


def member_link(member_id: UUID, name: str) -> SafeString:
    """Make a link to a member's page; the end of the id stands for who has no name."""
    page = reverse("admin:loyalty_member_change", args=[member_id])
    return format_html(
        '<a class="ly-link" href="{}">{}</a>', page, name or f"…{member_id.hex[-8:]}"
    )
