"""What support may do for a member: adjust points, freeze, edit the profile.

Each runs the engine's own command, with its checks, its events and its place in the ledger. The
form carries a key of its own, so that a double click is one command.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final, cast
from uuid import UUID, uuid4

import orjson
from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from pydantic import ValidationError
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from loyalty.admin.access import principal_for, title_of
from loyalty.engine.commands import Answer, Command, Kind
from loyalty.engine.run import run
from loyalty.errors import LoyaltyError
from loyalty.http.fields import MAX_POINTS
from loyalty.http.problems import in_words
from loyalty.members.adjustments import ADJUST, REQUEST_ADJUSTMENT
from loyalty.members.identifiers import MemberRef
from loyalty.members.models import Member
from loyalty.members.schemas import AdjustRequest, UpdateMember, UpdateRequest
from loyalty.members.services import UPDATE
from loyalty.programs.selectors import published_program
from loyalty.standing.schemas import AssignLevel, AssignRequest
from loyalty.standing.services import ASSIGN

MAY_ADJUST: Final = "loyalty.add_ledgertransaction"
"""The permission to change points by hand: it adds a ledger transaction."""

MAY_CHANGE: Final = "loyalty.change_member"

Payload = tuple[Kind, Any]


class ActionForm(forms.Form):
    """A form that runs one command, once."""

    token = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)

    title: str
    intro: str
    button: str
    done: str

    def offer(self, member: Member) -> None:
        """Fill in what the form offers for this member."""
        return

    def command(self, member: Member) -> Payload:
        """Give what the engine is to do."""
        raise NotImplementedError

    def instead(self, member: Member, code: str) -> Payload | None:
        """Give what it is to do where it refused with this code; None: the refusal stands."""
        return None


class AdjustForm(ActionForm):
    """Give or take points."""

    title = "Adjust points"
    intro = "The member sees the change and its reason in their statement."
    button = "Adjust"
    done = "The points are adjusted."

    way = forms.ChoiceField(
        label="What to do",
        choices=[("give", "Give points"), ("take", "Take points")],
        initial="give",
        widget=UnfoldAdminRadioSelectWidget(),
    )
    points = forms.IntegerField(
        label="How many", min_value=1, max_value=MAX_POINTS, widget=UnfoldAdminIntegerFieldWidget()
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="Kept for ever, with your name. Name nobody here: it stays when they are erased.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def command(self, member: Member) -> Payload:
        """Give the adjustment."""
        points = self.cleaned_data["points"]
        body = {
            "member": str(member.pk),
            "points": points if self.cleaned_data["way"] == "give" else -points,
            "reason": self.cleaned_data["reason"],
        }
        return ADJUST, AdjustRequest.model_validate(body)

    def instead(self, member: Member, code: str) -> Payload | None:
        """Ask a second person where one may not adjust so much."""
        if code != "approval_required":
            return None
        self.done = "So many points need a second person: the adjustment waits for approval."
        return REQUEST_ADJUSTMENT, self.command(member)[1]


class TierForm(ActionForm):
    """Assign a level, or take an assigned one back."""

    title = "Assign a tier level"
    intro = (
        "The member keeps the level until the day you name, whatever they buy; then they go back"
        " to what they have earned. Who earns more meanwhile rises."
    )
    button = "Assign"
    done = "The tier is changed."

    level = forms.ChoiceField(
        label="Level", required=False, widget=UnfoldAdminSelectWidget(), choices=[]
    )
    until = forms.DateField(
        label="Until",
        required=False,
        help_text="The last day, included. Empty: for good.",
        widget=UnfoldAdminTextInputWidget({"type": "date"}),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="Kept for ever, with your name.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def offer(self, member: Member) -> None:
        """Offer the program's levels as they are live."""
        levels = published_program(member.program_id).levels.values()
        names = [(level.code, level.name) for level in levels]
        field = cast(forms.ChoiceField, self.fields["level"])
        field.choices = [*names, ("", "None: take the assigned level back")]

    def command(self, member: Member) -> Payload:
        """Give the assignment."""
        data = self.cleaned_data
        body = {
            "level": data["level"] or None,
            "until": data["until"] and data["until"].isoformat(),
            "reason": data["reason"],
        }
        request = AssignRequest.model_validate_json(orjson.dumps(body))
        return ASSIGN, AssignLevel(_ref(member), request)


class FreezeForm(ActionForm):
    """Stop redemptions."""

    title = "Freeze this member?"
    intro = "A frozen member goes on earning and cannot redeem, until you unfreeze them."
    button = "Freeze"
    done = "The member is frozen: they earn, and cannot redeem."

    def command(self, member: Member) -> Payload:
        """Give the change of status."""
        return UPDATE, UpdateMember(_ref(member), UpdateRequest(status="frozen"))


class UnfreezeForm(ActionForm):
    """Allow redemptions again."""

    title = "Unfreeze this member?"
    intro = "They can redeem again at once."
    button = "Unfreeze"
    done = "The member can redeem again."

    def command(self, member: Member) -> Payload:
        """Give the change of status."""
        return UPDATE, UpdateMember(_ref(member), UpdateRequest(status="active"))


class ProfileForm(ActionForm):
    """Change personal data."""

    title = "Edit profile"
    intro = "Identifiers and points are changed on pages of their own."
    button = "Save"
    done = "The profile is saved."

    first_name = forms.CharField(
        max_length=100, required=False, widget=UnfoldAdminTextInputWidget()
    )
    last_name = forms.CharField(max_length=100, required=False, widget=UnfoldAdminTextInputWidget())
    birth_date = forms.DateField(
        required=False,
        help_text="As 1984-02-29.",
        widget=UnfoldAdminTextInputWidget({"type": "date"}),
    )
    language = forms.CharField(
        max_length=10,
        required=False,
        help_text="A code such as en or pt-BR.",
        widget=UnfoldAdminTextInputWidget(),
    )
    attributes = forms.JSONField(
        required=False,
        help_text='What else is known, as JSON: {"shoe_size": 42}. Write null to remove one.',
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
    )

    def clean_attributes(self) -> dict[str, Any]:
        """Take nothing as no change."""
        given = self.cleaned_data["attributes"]
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError('Write names and values in braces: {"shoe_size": 42}.')
        return given or {}

    def command(self, member: Member) -> Payload:
        """Give the change; a field that was emptied is cleared."""
        data = self.cleaned_data
        born = data["birth_date"]
        profile = {
            "first_name": data["first_name"],
            "last_name": data["last_name"],
            "birth_date": born.isoformat() if born else None,
            "language": data["language"] or None,
        }
        body = orjson.dumps({"profile": profile, "attributes": data["attributes"]})
        return UPDATE, UpdateMember(_ref(member), UpdateRequest.model_validate_json(body))


def _ref(member: Member) -> MemberRef:
    return MemberRef("id", str(member.pk))


def _initial(form: type[ActionForm], member: Member) -> dict[str, Any]:
    initial: dict[str, Any] = {"token": uuid4().hex}
    if form is ProfileForm:
        for name in ("first_name", "last_name", "birth_date", "language", "attributes"):
            initial[name] = getattr(member, name)
    return initial


def _act(
    request: HttpRequest,
    member_id: UUID,
    page: "ModelAdmin[Member]",
    *,
    form_class: type[ActionForm],
    permission: str,
) -> HttpResponse:
    if not request.user.has_perm(permission):
        raise PermissionDenied
    members = Member.objects.select_related("program", "state")
    member = get_object_or_404(members, pk=member_id)
    form = form_class(request.POST or None, initial=_initial(form_class, member))
    form.offer(member)
    back = reverse("admin:loyalty_member_change", args=[member.pk])
    if request.method == "POST" and form.is_valid() and run_form(request, member, form):
        return HttpResponseRedirect(back)
    context = {
        **page.admin_site.each_context(request),
        "title": form.title,
        "subtitle": title_of(member),
        "opts": page.opts,
        "original": member,
        "form": form,
        "back": back,
    }
    return TemplateResponse(request, "admin/loyalty/member/action.html", context)


def run_form(request: HttpRequest, member: Member, form: ActionForm) -> bool:
    """Run the form's command; say in the form what was refused, else what was done."""
    try:
        kind, payload = form.command(member)
        answer = run_once(request, member.program_id, kind, payload, form.cleaned_data)
        if answer.status >= 400:
            instead = form.instead(member, orjson.loads(answer.body)["code"])
            if instead is not None:
                answer = run_once(request, member.program_id, *instead, form.cleaned_data)
    except ValidationError as wrong:
        say_what_is_wrong(form, wrong)
        return False
    except LoyaltyError as error:
        form.add_error(None, error.detail)
        return False
    if answer.status >= 400:
        form.add_error(None, orjson.loads(answer.body)["detail"])
        # The refusal is kept under its key; another try is another command.
        form.data = {**request.POST.dict(), "token": uuid4().hex}
        return False
    messages.success(request, "This was already done." if answer.replayed else form.done)
    return True


def say_what_is_wrong(form: forms.Form, wrong: ValidationError) -> None:
    """Say at each field what the engine would not read."""
    for error in wrong.errors(include_url=False):
        name = str(error["loc"][-1]) if error["loc"] else ""
        form.add_error(name if name in form.fields else None, in_words(error))


def run_once(
    request: HttpRequest, program_id: int, kind: Kind, payload: Any, told: dict[str, Any]
) -> Answer:
    """Run a command under the key of the form, so that a double click is one command."""
    token = told["token"]
    content = f"{kind.name} {request.path} ".encode() + orjson.dumps(told, default=str)
    command = Command(
        kind,
        payload,
        key=f"admin-{kind.name}-{token}",
        request_hash=hashlib.sha256(content).digest(),
        request_id=f"admin-{token[:12]}",
    )
    return run([command], principal=principal_for(request, program_id))[0]


def view_of(form_class: type[ActionForm], permission: str) -> Callable[..., HttpResponse]:
    """Make the page of a form."""

    def view(request: HttpRequest, member_id: UUID, page: "ModelAdmin[Member]") -> HttpResponse:
        return _act(request, member_id, page, form_class=form_class, permission=permission)

    return view


VIEWS: Final = {
    "adjust": view_of(AdjustForm, MAY_ADJUST),
    "freeze": view_of(FreezeForm, MAY_CHANGE),
    "unfreeze": view_of(UnfreezeForm, MAY_CHANGE),
    "profile": view_of(ProfileForm, MAY_CHANGE),
    "tier": view_of(TierForm, MAY_CHANGE),
}
