"""Who may do what in the admin, and as whom the engine sees them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from loyalty.http.actors import colleague
from loyalty.http.auth import Principal
from loyalty.members.models import Member
from loyalty.programs.models import Program

ADMIN_KEY = 0
"""The client under which idempotency keys of the admin's forms are kept."""


def principal_for(request: HttpRequest, program_id: int) -> Principal:
    """Give the principal of a colleague at the admin; ledger transactions name them as actor."""
    return Principal(
        key_id=ADMIN_KEY,
        program_id=program_id,
        name=colleague(request),
        scopes=frozenset(),
        source="admin",
    )


class ReadOnlyAdmin(ModelAdmin):
    """Pages that only show: nobody adds, changes or deletes here, superusers neither.

    The number of rows is never counted: a ledger has millions.
    """

    show_full_result_count = False
    paginator = InfinitePaginator
    list_disable_select_all = True
    list_per_page = 25
    sortable_by: Sequence[str] | None = ()  # other orders than the index's would sort all of them
    actions: Sequence[str] | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: only commands write."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: only commands write."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what happened stays."""
        return False


class RowPageAdmin(ReadOnlyAdmin):
    """The same, where each row has a page of its own."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row, to whoever may see it."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return self.show_row(request, row)

    def show_row(self, request: HttpRequest, row: Any) -> HttpResponse:
        """Show one row; where nothing shows it, it has no page."""
        raise Http404


def as_uuid(text: str) -> UUID | None:
    """Read a member's id out of an address; None if it is not one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def title_of(member: Member) -> str:
    """Name a member as well as is known: by name, else by the first identifier."""
    name = f"{member.first_name} {member.last_name}".strip()
    if name:
        return name
    first = next(iter(member.identifiers.all()), None)
    return f"{first.type.capitalize()} {first.value}" if first else f"Member …{member.id.hex[-8:]}"


def names_of(member_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Name some members, in two queries."""
    found = Member.objects.filter(pk__in=set(member_ids)).prefetch_related("identifiers")
    return {member.pk: title_of(member) for member in found}


def only_program() -> dict[str, int]:
    """Fill in a form's program where there is but one to choose."""
    found = list(Program.objects.values_list("pk", flat=True)[:2])
    return {"program": found[0]} if len(found) == 1 else {}
