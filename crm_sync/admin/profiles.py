"""Profiles at a connection: mapping with a preview, backfills, people in doubt."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import TabularInline
from unfold.decorators import action

from crm_sync.admin.questions import ConnectionPages
from crm_sync.forms import MappingFormSet
from crm_sync.models import Backfill, Connection, Contact, FieldMapping
from crm_sync.services.backfill import (
    BackfillRefused,
    open_backfill,
    set_backfill_state,
    start_backfill,
)
from crm_sync.services.people import get_to_know_locally, look_again, resolve_match
from crm_sync.services.profiles import draft_profile, fields_of
from loyalty.admin.named import member_link, names_for
from loyalty.members.finding import read_member
from loyalty.members.selectors import find_member_id

SHOWN_AT_ONCE = 100


class FieldInline(TabularInline):
    """The mapping: our attribute, the vendor's field, its form and owner."""

    model = FieldMapping
    formset = MappingFormSet
    fields = ("attribute", "name", "form", "owner")
    verbose_name = "field"
    verbose_name_plural = "Mapping of fields"
    extra = 0
    tab = False


class ProfilePages(ConnectionPages):
    """What a person does about profiles at a connection."""

    def has_see_members_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """A profile is all that is known of a person."""
        return request.user.has_perm("loyalty.view_member")

    @action(description="Preview", icon="visibility", permissions=["view", "see_members"])
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what a member's profile there would be; nothing is sent."""
        connection = self.connection_of(request, object_id)
        if connection is None:
            return HttpResponseRedirect("../../")
        asked = request.POST.get("member", "").strip()
        more: dict[str, Any] = {"title": "Preview of a profile", "asked": asked}
        if asked:
            more |= _preview(connection, asked)
        return self.show(request, connection, "preview", more)

    @action(description="Backfill", icon="sync", permissions=["change"])
    def backfill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then tell the vendor of all members."""

        def begin(connection: Connection) -> None:
            try:
                begun = start_backfill(connection_id=connection.pk, by=request.user.get_username())
            except BackfillRefused as error:
                messages.error(request, str(error))
                return
            self.log_change(request, connection, "Began a backfill.")
            messages.success(request, f"{begun.total:,} members are told, beside today's events.")

        return self.ask(
            request,
            object_id,
            title="Begin a backfill?",
            text="All members are sent as they stand now; whoever the vendor was told already is "
            "left out. Most vendors cannot be told that it is old: begin no flow there on a change "
            "of these fields before it is done.",
            button="Begin",
            do=begin,
        )

    @action(description="Pause backfill", icon="pause_circle", permissions=["change"])
    def pause_backfill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then pause it."""
        return self._set_backfill(request, object_id, Backfill.State.PAUSED, "Pause")

    @action(description="Resume backfill", icon="play_circle", permissions=["change"])
    def resume_backfill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then let it go on where it stopped."""
        return self._set_backfill(request, object_id, Backfill.State.RUNNING, "Resume")

    @action(description="Cancel backfill", icon="cancel", permissions=["change"])
    def cancel_backfill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then end it."""
        return self._set_backfill(request, object_id, Backfill.State.CANCELLED, "Cancel")

    @action(description="In doubt", icon="person_search", permissions=["change"])
    def people(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """List whose profiles were given up or parked; take a person's word for who is who."""
        connection = self.connection_of(request, object_id)
        if connection is None:
            return HttpResponseRedirect("../../")
        if request.method == "POST":
            self._resolve(request, connection)
            return HttpResponseRedirect(request.path)
        rows = Contact.objects.filter(connection=connection).exclude(stuck="")
        shown = list(rows.order_by("-stuck", "member_id")[: SHOWN_AT_ONCE + 1])
        names = names_for(request, [contact.member_id for contact in shown])
        more = {
            "title": "People in doubt",
            "contacts": [
                (contact, member_link(contact.member_id, names.get(contact.member_id, "")))
                for contact in shown[:SHOWN_AT_ONCE]
            ],
            "has_more": len(shown) > SHOWN_AT_ONCE,
        }
        return self.show(request, connection, "people", more)

    def _resolve(self, request: HttpRequest, connection: Connection) -> None:
        member_id, vendor_id = UUID(request.POST["member"]), request.POST.get("vendor_id", "")
        contact = Contact.objects.filter(connection=connection, member_id=member_id).first()
        if contact is not None and "again" in request.POST:
            look_again(connection_id=connection.pk, member_id=member_id)
            self.log_change(request, connection, f"Had {member_id} looked for again.")
            messages.success(request, "The vendor is asked again; what was parked waits for that.")
            return
        if contact is None or (vendor_id and vendor_id not in contact.candidates):
            messages.error(request, "Choose one of the candidates.")
            return
        resolve_match(connection_id=connection.pk, member_id=member_id, vendor_id=vendor_id)
        self.log_change(request, connection, f"Matched {member_id} to {vendor_id or 'a new one'}.")
        messages.success(request, "It is taken; what was parked is on its way.")

    def _set_backfill(
        self, request: HttpRequest, object_id: str, state: Backfill.State, word: str
    ) -> HttpResponse:
        def change(connection: Connection) -> None:
            found = open_backfill(connection.pk)
            if found is None:
                messages.error(request, "No backfill is under way.")
                return
            set_backfill_state(backfill_id=found.pk, state=state)
            self.log_change(request, connection, f"Backfill: {state}.")
            messages.success(request, f"The backfill is {state}.")

        return self.ask(
            request,
            object_id,
            title=f"{word} the backfill?",
            text="What is on its way is finished. Members who were told stay told.",
            button=word,
            do=change,
        )


def _preview(connection: Connection, asked: str) -> dict[str, Any]:
    try:
        named = read_member(asked, program_id=connection.program_id, may_search=True)
    except ValueError as wrong:
        return {"problem": str(wrong)}
    member_id = find_member_id(program_id=connection.program_id, reference=str(named))
    if member_id is None:
        return {"problem": "No member of this program has that id, card or external id."}
    known = get_to_know_locally(connection, member_id)
    draft = draft_profile(connection, known, fields_of(connection))
    if draft is None:
        return {"problem": "This member is gone; nothing is sent."}
    return {
        "rows": [(name, value) for name, value in draft.profile.fields.items()],
        "left_out": draft.left_out,
        "person": draft.profile.person,
        "is_unchanged": draft.is_unchanged,
    }
