"""What support may do about a redemption: give its points back, or let go what is reserved."""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.admin.access import RowPageAdmin
from loyalty.admin.member_actions import MAY_ADJUST, ActionForm, Payload, run_form
from loyalty.admin.named import names_for
from loyalty.members.models import Member
from loyalty.rewards.models import Redemption
from loyalty.rewards.schemas import (
    RedemptionId,
    ReverseRedemption,
    ReverseRequest,
    VoidRedemption,
    VoidRequest,
)
from loyalty.rewards.settling import REVERSE, VOID


class BackForm(ActionForm):
    """A form about one redemption.

    Attributes:
        state: In which it can be used; who clicks twice sends it once more in the next one.
    """

    state: Redemption.State
    redemption: Redemption

    def take(self, redemption: Redemption) -> None:
        """Know which one it is about."""
        self.redemption = redemption

    def named(self) -> RedemptionId:
        """Name it as the engine does."""
        return RedemptionId(self.redemption.member_id, self.redemption.number)


class ReverseForm(BackForm):
    """Give the points of a redemption back."""

    title = "Give the points back"
    button = "Give back"
    done = "The points are given back."
    state = Redemption.State.CAPTURED

    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="Kept for ever, with your name. Name nobody here: it stays when they are erased.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def take(self, redemption: Redemption) -> None:
        """Say how many points it is about."""
        super().take(redemption)
        left = redemption.captured - redemption.reinstated
        self.intro = (
            f"{left:,} points go back where they came from, with their old expiry; of those that"
            " have expired meanwhile the program decides."
            if left
            else "It took no points, and does not count any more as one that was had for nothing."
        )
        if redemption.reward:
            self.intro += " It goes back into the reward's stock, if that is counted."

    def command(self, member: Member) -> Payload:
        """Give the reversal."""
        body = ReverseRequest(reason=self.cleaned_data["reason"])
        return REVERSE, ReverseRedemption(self.named(), body)


class LetGoForm(BackForm):
    """Let go what a till has reserved."""

    title = "Let the reserved points go"
    button = "Let go"
    done = "The points can be used again."
    state = Redemption.State.HELD

    def take(self, redemption: Redemption) -> None:
        """Say how many points it is about."""
        super().take(redemption)
        self.intro = (
            f"{redemption.points:,} points can be used again, and the till or shop that reserved"
            " them cannot take them any more."
        )

    def command(self, member: Member) -> Payload:
        """Give what lets them go."""
        return VOID, VoidRedemption(self.named(), VoidRequest())


FORMS: Final[dict[str, type[BackForm]]] = {"reverse": ReverseForm, "void": LetGoForm}


def may_give_back(request: HttpRequest) -> bool:
    """Tell whether somebody may: it changes points by hand, as an adjustment."""
    return request.user.has_perm(MAY_ADJUST)


def offered(request: HttpRequest, redemption: Redemption) -> dict[str, str]:
    """List what somebody may do about a redemption as it is: the page, and what its button says."""
    if not may_give_back(request):
        return {}
    return {
        reverse(f"admin:loyalty_redemption_{name}", args=[redemption.pk]): form.button
        for name, form in FORMS.items()
        if redemption.state == form.state
    }


def view_of(form_class: type[BackForm]) -> Callable[..., HttpResponse]:
    """Make the page of a form."""

    def view(request: HttpRequest, pk: int, page: RowPageAdmin) -> HttpResponse:
        redemption = get_object_or_404(Redemption, pk=pk)
        if not (may_give_back(request) and page.has_view_permission(request, redemption)):
            raise PermissionDenied
        member = get_object_or_404(Member, pk=redemption.member_id)
        form = form_class(request.POST or None, initial={"token": uuid4().hex})
        form.take(redemption)
        back = reverse("admin:loyalty_redemption_change", args=[pk])
        if request.method == "POST" and form.is_valid() and run_form(request, member, form):
            return HttpResponseRedirect(back)
        names = names_for(request, [member.pk])
        context = {
            **page.admin_site.each_context(request),
            "title": form.title,
            "subtitle": names.get(member.pk, f"Member …{member.pk.hex[-8:]}"),
            "opts": page.opts,
            "original": redemption,
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/loyalty/member/action.html", context)

    return view
