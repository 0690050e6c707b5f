"""People of whom a vendor told, and who could not be taken in: who, why, and once more."""

from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from crm_sync.adapters.access import SecretMissing
from crm_sync.admin.found import FoundAdmin
from crm_sync.inbound.deciding import say_they_are
from crm_sync.inbound.polling import try_again
from crm_sync.models import Connection, LeftOutPerson


@admin.register(LeftOutPerson)
class LeftOutPersonAdmin(FoundAdmin):
    """Whose consent, segments or fields are not taken in; what was said of them is not shown."""

    menu = (6, "person_off")
    empty_words = (
        "Nobody is left out. Whomever a vendor tells of, and who cannot be taken in, is here."
    )
    list_display = ("vendor_id", "connection", "who", "note", "at")
    search_fields = ("vendor_id",)
    search_help_text = "The vendor's id of a person, or the id of a member"
    ordering = ("-at", "-id")
    actions = ("try_chosen_again", "say_they_are_chosen", "leave_chosen")
    member_lookup = "members__contains"
    text_field = "vendor_id"

    def as_member(self, member_id: UUID) -> list[str]:
        """Give it as one of those who may be meant."""
        return [str(member_id)]

    @admin.action(description="Try again", permissions=["decide"])
    def try_chosen_again(self, request: HttpRequest, chosen: QuerySet[LeftOutPerson]) -> None:
        """Take in what was said of them."""
        try:
            count = try_again(left_out_ids=list(chosen.values_list("pk", flat=True)))
        except SecretMissing as error:
            messages.error(request, str(error))
            return
        messages.success(request, f"{count:,} people are not left out any more.")

    @admin.action(description="They are the member", permissions=["decide"])
    def say_they_are_chosen(self, request: HttpRequest, chosen: QuerySet[LeftOutPerson]) -> None:
        """Take the person's word for who they are, where one member may be meant."""
        try:
            count = say_they_are(left_out_ids=list(chosen.values_list("pk", flat=True)))
        except SecretMissing as error:
            messages.error(request, str(error))
            return
        messages.success(request, f"{count:,} people are not left out any more.")

    @admin.action(description="Settled by hand", permissions=["decide"])
    def leave_chosen(self, request: HttpRequest, chosen: QuerySet[LeftOutPerson]) -> None:
        """Take the person's word that nothing is left to do."""
        count, _ = chosen.delete()
        messages.success(request, f"{count:,} people are settled; what was said is deleted.")

    @display(description="May be")
    def who(self, person: LeftOutPerson) -> SafeString | str:
        """Lead to the members who may be meant."""
        pages = [
            (reverse("admin:loyalty_member_change", args=[one]), one) for one in person.members
        ]
        return format_html_join(" ", '<a class="ly-link" href="{}">{}</a>', pages) or "–"


def say_who_was_left_out(connection: Connection, asked: str) -> SafeString | str:
    """Add to when a vendor was asked how many people could not be taken in, and lead to them."""
    count = LeftOutPerson.objects.filter(connection=connection).count()
    if not count:
        return asked
    page = reverse("admin:crm_sync_leftoutperson_changelist")
    link = '{}. <a class="ly-link" href="{}?connection__id__exact={}">People left out: {}</a>'
    return format_html(link, asked, page, connection.pk, f"{count:,}")
