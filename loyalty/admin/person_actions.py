"""What support may do about a person: other cards, two members who are one, erase, export."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from loyalty.admin.access import principal_for, title_of
from loyalty.admin.member_actions import MAY_CHANGE, ActionForm, Payload, view_of
from loyalty.ledger.models import Wallet
from loyalty.members.erasing import ERASE
from loyalty.members.finding import find_one
from loyalty.members.identifiers import IDENTIFIER_TYPES, MemberRef
from loyalty.members.merging import MERGE, UNMERGE
from loyalty.members.models import Member
from loyalty.members.naming import ADD_IDENTIFIER, REMOVE_IDENTIFIER
from loyalty.members.schemas import (
    AddIdentifier,
    EraseMember,
    EraseRequest,
    IdentifierInput,
    MergeMembers,
    MergeRequest,
    RemoveIdentifier,
    UnmergeMember,
    UnmergeRequest,
)
from loyalty.orders.export_api import export_of

MAY_ERASE: Final = "loyalty.delete_member"
"""The permission to erase: it takes away what names a person, never a row."""


def _ref(member: Member) -> MemberRef:
    return MemberRef("id", str(member.pk))


class AddIdentifierForm(ActionForm):
    """Give a member another card, an email, a phone; or say of one of theirs that it is proven."""

    title = "Add an identifier"
    intro = (
        "Tills and systems find the member by it from then on. Add one that the member has once"
        " more to say that it is proven to be theirs."
    )
    button = "Add"
    done = "The identifier is added."

    type = forms.ChoiceField(
        label="What it is",
        choices=[(kind, kind.capitalize()) for kind in IDENTIFIER_TYPES],
        widget=UnfoldAdminSelectWidget(),
    )
    value = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget())
    verified = forms.BooleanField(
        label="Verified",
        required=False,
        help_text="You have proof that it is the member's. By emails and phone numbers that nobody"
        " has verified, CRMs are not matched with members, unless a connection says so.",
        widget=UnfoldBooleanWidget(),
    )

    def command(self, member: Member) -> Payload:
        """Give the identifier."""
        data = {name: self.cleaned_data[name] for name in ("type", "value", "verified")}
        named = IdentifierInput.model_validate(data)
        return ADD_IDENTIFIER, AddIdentifier(_ref(member), named)


class RemoveIdentifierForm(ActionForm):
    """A lost card."""

    title = "Remove an identifier"
    intro = "Nobody finds the member by it any more; somebody else may get it. One must stay."
    button = "Remove"
    done = "The identifier is removed."

    which = forms.ChoiceField(label="Which", choices=[], widget=UnfoldAdminSelectWidget())

    def offer(self, member: Member) -> None:
        """Offer what the member has."""
        choices = [(str(i.number), f"{i.type} {i.value}") for i in member.identifiers.all()]
        self.fields["which"].choices = choices  # type: ignore[attr-defined]

    def command(self, member: Member) -> Payload:
        """Give the identifier's number."""
        number = int(self.cleaned_data["which"])
        return REMOVE_IDENTIFIER, RemoveIdentifier(_ref(member), number)


class _SureForm(ActionForm):
    """A form that says what will happen, and runs only when that is confirmed."""

    sure = forms.BooleanField(
        label="Yes, this is what I want", required=False, widget=UnfoldBooleanWidget()
    )

    def what_happens(self) -> str:
        """Say it for this member."""
        return self.intro

    def clean(self) -> dict[str, Any]:
        """Ask until it is confirmed."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned.get("sure"):
            self.intro = self.what_happens()
            self.add_error("sure", "Read what will happen, then tick this.")
        return cleaned


class MergeForm(_SureForm):
    """Merge this member into another one."""

    title = "Merge into another member"
    intro = "For a person who enrolled twice. Name the member who goes on; this one ends in them."
    button = "Merge"
    done = "The two are one member now. This can be taken back here for 30 days."

    into = forms.CharField(
        label="The member who goes on",
        max_length=300,
        help_text="A card, email, phone, external id, or the member's id.",
        widget=UnfoldAdminTextInputWidget(),
    )
    reason = forms.CharField(required=False, max_length=500, widget=UnfoldAdminTextInputWidget())

    field_order = ("into", "reason", "sure", "token")
    _member: Member
    _other: Member

    def offer(self, member: Member) -> None:
        """Know whom it is about."""
        self._member = member

    def clean_into(self) -> str:
        """Find the one member who is meant."""
        try:
            meant = find_one(self.cleaned_data["into"], program_id=self._member.program_id)
        except ValueError as wrong:
            raise forms.ValidationError(str(wrong)) from None
        if meant == self._member.pk:
            raise forms.ValidationError("This is the member themselves.")
        self._other = Member.objects.get(pk=meant)
        return str(meant)

    def what_happens(self) -> str:
        """Name both, and what goes over."""
        points = Wallet.objects.get(member_id=self._member.pk)
        return (
            f"This member ends in {title_of(self._other)}:"
            f" {points.available:,} points ({points.pending:,} pending, {points.debt:,} owed),"
            " orders, identifiers and what counts for tiers go over; the history stays here."
        )

    def command(self, member: Member) -> Payload:
        """Give both members."""
        into = MemberRef("id", self.cleaned_data["into"])
        body = MergeRequest.model_construct(into=into, reason=self.cleaned_data["reason"])
        return MERGE, MergeMembers(_ref(member), body)


class UnmergeForm(_SureForm):
    """Take a merge back."""

    title = "Take the merge back?"
    intro = (
        "The identifiers, the orders and what is left of the points that came with this member go"
        " back to them. What was recorded since the merge stays with the other member."
    )
    button = "Take it back"
    done = "They are two members again."

    def command(self, member: Member) -> Payload:
        """Give the merged member."""
        return UNMERGE, UnmergeMember(_ref(member), UnmergeRequest())


class EraseForm(_SureForm):
    """Erase what names a person."""

    title = "Erase this person?"
    intro = (
        "Names, birthday, language, attributes and all identifiers go, here and of members merged"
        " into this one; CRMs are told. The account is closed, and its points cannot be used any"
        " more. The ledger stays, without a name. This cannot be taken back."
    )
    button = "Erase for ever"
    done = "Nothing names this person any more."

    def command(self, member: Member) -> Payload:
        """Give the member."""
        return ERASE, EraseMember(_ref(member), EraseRequest())


def export_view(
    request: HttpRequest, member_id: UUID, page: "ModelAdmin[Member]"
) -> StreamingHttpResponse:
    """Download all that is held on a person."""
    if not request.user.has_perm(MAY_CHANGE):
        raise PermissionDenied
    member = get_object_or_404(Member, pk=member_id)
    pieces = export_of(principal_for(request, member.program_id), _ref(member))
    response = StreamingHttpResponse(pieces, content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="member-{member_id}.json"'
    return response


VIEWS: Final[dict[str, Any]] = {
    "identifier": view_of(AddIdentifierForm, MAY_CHANGE),
    "remove_identifier": view_of(RemoveIdentifierForm, MAY_CHANGE),
    "merge": view_of(MergeForm, MAY_CHANGE),
    "unmerge": view_of(UnmergeForm, MAY_CHANGE),
    "erase": view_of(EraseForm, MAY_ERASE),
    "export": export_view,
}
