"""Lists of what jobs found at connections about members: nobody writes them, they are put right."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from loyalty.admin.access import ReadOnlyAdmin


class FoundAdmin(ReadOnlyAdmin):
    """Rows that jobs write and take away again; whoever may change connections decides of them.

    Attributes:
        member_lookup: By which field, and how, the rows of a member are found.
        text_field: What else is looked for, exactly.
    """

    list_display_links = None
    list_filter = (("connection", RelatedDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("connection",)
    list_per_page = 50
    sortable_by = None
    member_lookup = "member_id"
    text_field = ""

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whoever may change connections, in the words of Django's groups."""
        return request.user.has_perm("crm_sync.change_connection")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for exactly what was asked."""
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(**{self.member_lookup: self.as_member(UUID(text))}), False
        except ValueError:
            return queryset.filter(**{self.text_field: text}), False

    def as_member(self, member_id: UUID) -> Any:
        """Give a member's id as the field of the lookup has it."""
        return member_id
