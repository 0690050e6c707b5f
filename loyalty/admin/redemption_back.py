"""What support may do about a redemption: give its points back, or let go what is reserved."""

from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import orjson
from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from loyalty.admin.access import RowPageAdmin, principal_for
from loyalty.admin.member_actions import (
    MAY_ADJUST,
    ActionForm,
    Payload,
    run_form,
    say_what_is_wrong,
)
from loyalty.admin.named import names_for
from loyalty.engine.commands import Command
from loyalty.engine.look import look
from loyalty.engine.run import run
from loyalty.errors import LoyaltyError
from loyalty.http.fields import MAX_POINTS
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
        previews: Whether what it does is shown first, as that depends on what is filled in.
    """

    state: Redemption.State
    redemption: Redemption
    previews = False

    def take(self, redemption: Redemption) -> None:
        """Know which one it is about."""
        self.redemption = redemption

    def carried(self) -> str:
        """Write down what was filled in that counts, to know later whether it is what was seen."""
        return str(self.cleaned_data.get("points", ""))

    def named(self) -> RedemptionId:
        """Name it as the engine does."""
        return RedemptionId(self.redemption.member_id, self.redemption.number)


class ReverseForm(BackForm):
    """Give the points of a redemption back."""

    title = "Give the points back"
    button = "Give back"
    done = "The points are given back."
    state = Redemption.State.CAPTURED
    previews = True

    points = forms.IntegerField(
        label="How many points",
        min_value=1,
        max_value=MAX_POINTS,
        help_text="All that are left, or fewer.",
        widget=UnfoldAdminIntegerFieldWidget(),
    )
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
        if redemption.captured:
            # That no more go back than are left is for the engine to see to: the second click of
            # two finds none, and is still told that it is done.
            self.fields["points"].initial = left
            self.intro = (
                f"{left:,} points can go back where they came from, with their old expiry; of"
                " those that have expired meanwhile the program decides."
            )
        else:
            del self.fields["points"]
            self.intro = "It took no points, and does not count any more as one had for nothing."
        if redemption.reward:
            last = "With the last of them it" if redemption.captured else "It"
            self.intro += f" {last} goes back into the reward's stock, if that is counted."

    def command(self, member: Member) -> Payload:
        """Give the reversal."""
        told = self.cleaned_data
        body = ReverseRequest(reason=told["reason"], points=told.get("points"))
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
        shown: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            if not _is_seen(request, form):
                shown = _preview(request, member, form)
            elif run_form(request, member, form):
                return HttpResponseRedirect(back)
        names = names_for(request, [member.pk])
        context = {
            **page.admin_site.each_context(request),
            "title": form.title,
            "subtitle": names.get(member.pk, f"Member …{member.pk.hex[-8:]}"),
            "opts": page.opts,
            "original": redemption,
            "redemption": redemption,
            "form": form,
            "shown": shown,
            "changed": "confirm" in request.POST,
            "back": back,
        }
        return TemplateResponse(request, "admin/loyalty/redemption/back.html", context)

    return view


def _is_seen(request: HttpRequest, form: BackForm) -> bool:
    """Tell whether the page showed what this would do."""
    if not form.previews:
        return True
    return "confirm" in request.POST and request.POST.get("previewed") == form.carried()


def _preview(request: HttpRequest, member: Member, form: BackForm) -> dict[str, Any]:
    """Decide without writing, and set it against what the member has now."""
    principal = principal_for(request, member.program_id)
    try:
        _, before = look(principal, ("id", str(member.pk)))
        command = Command(*form.command(member))
        answer = run([command], principal=principal, preview=True)[0]
    except ValidationError as wrong:
        say_what_is_wrong(form, wrong)
        return {}
    except LoyaltyError as error:
        form.add_error(None, error.detail)
        return {}
    told = orjson.loads(answer.body)
    if answer.status >= 400:
        form.add_error("points" if "left" in told else None, told["detail"])
        return {}
    wallet, after = before.books.wallet, told["balance"]
    points = form.cleaned_data.get("points", 0)
    return {
        "carried": form.carried(),
        "points": points,
        "after": after,
        "available": wallet.available,
        "debt": wallet.debt,
        "expired": points - (after["available"] - after["debt"] - wallet.available + wallet.debt),
        "is_over": told["state"] == Redemption.State.REVERSED,
    }
