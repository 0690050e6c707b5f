"""Adjustments that wait for a second person: who asked, for whom, why; approve or decline."""

from typing import Any, Final
from uuid import uuid4

import orjson
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.admin import words
from loyalty.admin.access import RowPageAdmin, principal_for, title_of
from loyalty.admin.filters import ProgramFilter
from loyalty.admin.member_actions import run_once
from loyalty.admin.named import NamesMembers
from loyalty.errors import LoyaltyError
from loyalty.http.actors import actors_named
from loyalty.ledger.models import Wallet
from loyalty.members.adjustments import DECIDE_ADJUSTMENT
from loyalty.members.models import AdjustmentRequest, Member
from loyalty.members.schemas import DecideAdjustment

MAY_APPROVE: Final = "loyalty.approve_adjustment"


class DecisionForm(forms.Form):
    """Approve or decline, with a reason."""

    token = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Your reason",
        max_length=500,
        help_text="Kept for ever, with your name.",
        widget=UnfoldAdminTextInputWidget(),
    )


@admin.register(AdjustmentRequest)
class ApprovalAdmin(NamesMembers, RowPageAdmin):
    """Requests, the newest first."""

    empty_words = (
        "Nothing waits. Adjustments above the limit that a program sets come here, for a "
        "second person."
    )
    list_display = ("requested", "member", "effect", "reason", "asker", "status", "decider")
    actor_fields = ("requested_by", "decided_by")
    list_filter = (ProgramFilter, ("state", ChoicesCheckboxFilter))
    list_filter_submit = True
    ordering = ("-id",)

    @display(description="Requested (UTC)")
    def requested(self, row: AdjustmentRequest) -> Any:
        """Show when."""
        return row.requested_at

    @display(description="Points")
    def effect(self, row: AdjustmentRequest) -> str:
        """Show what it would do."""
        return words.signed(row.points)

    @display(description="State", label=words.REQUEST_COLOURS)
    def status(self, row: AdjustmentRequest) -> str:
        """Show the state in its colour."""
        return row.state

    @display(description="Requested by")
    def asker(self, row: Any) -> str:
        """Name the first person, or the API key."""
        name: str = row.named[row.requested_by]
        return name

    @display(description="Decided by")
    def decider(self, row: Any) -> str:
        """Name the second person."""
        return row.named[row.decided_by] or "–"

    def get_urls(self) -> list[URLPattern]:
        """Add the decision. It stands outside of the admin's transaction."""
        decide = path(
            "<int:pk>/decide/",
            self.admin_site.admin_view(self.decide),
            name="loyalty_adjustmentrequest_decide",
        )
        return [decide, *super().get_urls()]

    def show_row(self, request: HttpRequest, row: AdjustmentRequest) -> HttpResponse:
        """Show one request."""
        return self._page(request, row, DecisionForm(initial={"token": uuid4().hex}))

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve or decline; who asked may withdraw it, also without the right to approve."""
        row = AdjustmentRequest.objects.filter(pk=pk).first()
        withdraws = row is not None and _is_own(request, row) and "approve" not in request.POST
        if not (withdraws or request.user.has_perm(MAY_APPROVE)):
            raise PermissionDenied
        if row is None or request.method != "POST":
            raise Http404
        form = DecisionForm(request.POST)
        if form.is_valid() and self._run(request, row, form):
            return HttpResponseRedirect(reverse("admin:loyalty_adjustmentrequest_changelist"))
        return self._page(request, row, form)

    def _run(self, request: HttpRequest, row: AdjustmentRequest, form: DecisionForm) -> bool:
        approve = "approve" in request.POST
        reason = form.cleaned_data["reason"]
        payload = DecideAdjustment(row.member_id, row.number, approve, reason)
        told = {**form.cleaned_data, "approve": approve}
        try:
            answer = run_once(request, row.program_id, DECIDE_ADJUSTMENT, payload, told)
        except LoyaltyError as error:
            form.add_error(None, error.detail)
            return False
        if answer.status >= 400:
            detail = orjson.loads(answer.body)["detail"]
            form.add_error(None, detail)
            row.refresh_from_db()
            if row.state != "open":  # then the page has no form to show it in
                messages.error(request, detail)
            form.data = {**request.POST.dict(), "token": uuid4().hex}
            return False
        messages.success(request, f"The adjustment is {'approved' if approve else 'declined'}.")
        return True

    def _page(
        self, request: HttpRequest, row: AdjustmentRequest, form: DecisionForm
    ) -> HttpResponse:
        member = Member.objects.select_related("program").get(pk=row.member_id)
        wallet = Wallet.objects.filter(member_id=row.member_id).first()
        named = actors_named([row.requested_by, row.decided_by])
        is_own, may_approve = _is_own(request, row), request.user.has_perm(MAY_APPROVE)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{words.signed(row.points)} points for {title_of(member)}",
            "asker": named[row.requested_by],
            "decider": named[row.decided_by],
            "opts": self.opts,
            "original": row,
            "row": row,
            "member": member,
            "member_title": title_of(member),
            "available": wallet.available if wallet else 0,
            "colour": words.REQUEST_COLOURS[row.state],
            "form": form,
            "is_own": is_own,
            "may_decide": row.state == "open" and (is_own or may_approve),
        }
        return TemplateResponse(request, "admin/loyalty/approval/page.html", context)


def _is_own(request: HttpRequest, row: AdjustmentRequest) -> bool:
    return bool(row.requested_by == principal_for(request, row.program_id).name)
