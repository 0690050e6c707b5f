"""Return lines of an order: which and why, what it does to the points, then the return itself.

The preview is the engine's own: the same command is decided and nothing is written.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast
from uuid import uuid4

import orjson
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.admin.access import RowPageAdmin, principal_for
from loyalty.admin.member_actions import MAY_ADJUST, run_once, say_what_is_wrong
from loyalty.engine.activity import tier_body
from loyalty.engine.commands import Answer, Command
from loyalty.engine.look import look
from loyalty.engine.run import run
from loyalty.errors import LoyaltyError
from loyalty.orders.models import Order
from loyalty.orders.returns import RETURN
from loyalty.orders.rules import quantity_text, quantity_units, returned_of
from loyalty.orders.schemas import ReturnOrder, ReturnRequest
from loyalty.programs.choices import Clawback
from loyalty.programs.currencies import SCALES, format_amount

FIELD: Final = "line-"
PREVIEWED: Final = "previewed"
"""What the page carries of the lines whose preview it shows: others are not returned unseen."""

KNOWN: Final = 200
"""How the engine answers a return that is recorded already; a new one is 201."""

_IS_KNOWN: Final = "The return with this number is recorded already, with these lines."


class ReturnForm(forms.Form):
    """How much of each line comes back, and why.

    That no more comes back than is left is for the engine to see to: the second click of two finds
    the lines returned already, and is still told that it is done.
    """

    token = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)
    ref = forms.CharField(
        label="The return's number at the till or shop",
        required=False,
        max_length=100,
        help_text="If it has one. When the till or shop sends this return too, it is known by its"
        " number, and the points are not taken back twice.",
        widget=UnfoldAdminTextInputWidget(),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="Kept for ever, with your name. Name nobody here: it stays when they are erased.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, order: Order, now: datetime, **kwargs: Any) -> None:
        """Ask for each line of which something is left, or was when the page was opened.

        Args:
            now: As PostgreSQL tells it: a node's own clock may be ahead, and be refused.
        """
        super().__init__(*args, **kwargs)
        self.order, self.now = order, now
        self.lines = lines_of(order)
        for number, line in enumerate(self.lines):
            self.fields[f"{FIELD}{number}"] = _quantity_field(line)

    def rows(self) -> list[tuple[dict[str, Any], Any]]:
        """Give each line with its field."""
        return [(line, self[f"{FIELD}{number}"]) for number, line in enumerate(self.lines)]

    def clean(self) -> dict[str, Any]:
        """Ask for something that comes back."""
        cleaned = super().clean() or self.cleaned_data
        if not self.back() and not any(name.startswith(FIELD) for name in self.errors):
            self.add_error(None, "Say of at least one line how much comes back.")
        return cleaned

    def back(self) -> list[dict[str, str]]:
        """List what comes back."""
        asked = [self.cleaned_data.get(f"{FIELD}{number}") for number in range(len(self.lines))]
        return [
            {"line": line["line"], "quantity": f"{quantity:f}"}
            for line, quantity in zip(self.lines, asked, strict=True)
            if quantity
        ]

    def carried(self) -> str:
        """Write down what comes back, to know on the next page whether it is still that."""
        return orjson.dumps(self.back()).decode()

    def command(self) -> ReturnOrder:
        """Give the return as a till would send it."""
        order = self.order
        body = {
            "ref": self.cleaned_data["ref"] or f"admin-{self.cleaned_data['token'][:12]}",
            # An order may be of a till whose clock is ahead.
            "occurred_at": max(self.now, order.occurred_at).isoformat(),
            "lines": self.back(),
            "reason": self.cleaned_data["reason"],
        }
        request = ReturnRequest.model_validate_json(orjson.dumps(body))
        store = order.store or None
        return ReturnOrder(order.ref, store, request, channel=order.channel, by_hand=True)

    def refuse(self, problem: Mapping[str, Any]) -> None:
        """Say what the engine refused, at the field that it is about."""
        about = [line["line"] for line in self.lines]
        at = problem.get("line")
        name = f"{FIELD}{about.index(at)}" if at in about else None
        self.add_error("ref" if problem["code"] == "return_conflict" else name, problem["detail"])


def _quantity_field(line: dict[str, Any]) -> forms.DecimalField:
    attributes = {"inputmode": "decimal", "aria-label": f"How many of line {line['line']}"}
    return forms.DecimalField(
        required=False,
        initial=0,
        min_value=Decimal(0),
        max_digits=13,
        decimal_places=4,
        widget=UnfoldAdminTextInputWidget(attributes),
    )


def lines_of(order: Order) -> list[dict[str, Any]]:
    """Give an order's lines as people read them, with what came back and what is left.

    Returns:
        `left` is empty where nothing of the line can come back any more.
    """
    lines = []
    for line in order.lines:
        left = quantity_units(line["quantity"]) - returned_of(line)
        shown = {
            "money": money(line["amount"], order.currency),
            "came_back": quantity_text(returned_of(line)) if returned_of(line) else "",
            "left": quantity_text(left) if left and order.state != Order.State.CANCELLED else "",
        }
        lines.append({**line, **shown})
    return lines


def money(minor: int, currency: str) -> str:
    """Write an amount with its currency."""
    return f"{format_amount(minor, SCALES.get(currency, 2))} {currency}"


def may_return(request: HttpRequest) -> bool:
    """Tell whether somebody may return orders: it changes points by hand, as an adjustment."""
    return request.user.has_perm(MAY_ADJUST)


def return_view(request: HttpRequest, pk: int, page: RowPageAdmin) -> HttpResponse:
    """Ask what comes back, show what that does, and do it once that was seen."""
    order: Any = get_object_or_404(Order.objects.annotate(now=Now()), pk=pk)
    if not (may_return(request) and page.has_view_permission(request, order)):
        raise PermissionDenied
    initial = {"token": uuid4().hex}
    form = ReturnForm(_sent(request, order), order=order, now=order.now, initial=initial)
    shown: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        if "confirm" in request.POST and request.POST.get(PREVIEWED) == form.carried():
            if _run(request, form):
                return HttpResponseRedirect(reverse("admin:loyalty_order_change", args=[pk]))
        else:
            shown = _preview(request, form)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Return order {order.ref}",
        "opts": page.opts,
        "original": order,
        "order": order,
        "form": form,
        "is_anything_left": any(line["left"] for line in form.lines),
        "changed": "confirm" in request.POST,
        "shown": shown,
        "back": reverse("admin:loyalty_order_change", args=[pk]),
    }
    return TemplateResponse(request, "admin/loyalty/order/return.html", context)


def _sent(request: HttpRequest, order: Order) -> dict[str, Any] | None:
    """Give what was sent; where all comes back, with what is left of each line."""
    if request.method != "POST":
        return None
    sent: dict[str, Any] = request.POST.dict()
    if "everything" in sent:
        for number, line in enumerate(lines_of(order)):
            sent[f"{FIELD}{number}"] = line["left"] or "0"
    return sent


def _preview(request: HttpRequest, form: ReturnForm) -> dict[str, Any]:
    """Decide the return without writing it, and set it against what the member has now."""
    order = form.order
    principal = principal_for(request, order.program_id)
    try:
        _, before = look(principal, ("account", str(order.member_id)))
        command = Command(RETURN, form.command())
        answer = run([command], principal=principal, preview=True)[0]
    except ValidationError as wrong:
        say_what_is_wrong(form, wrong)
        return {}
    except LoyaltyError as error:
        form.add_error(None, error.detail)
        return {}
    told = orjson.loads(answer.body)
    if answer.status >= 400:
        form.refuse(told)
        return {}
    if answer.status == KNOWN:
        form.add_error("ref", _IS_KNOWN)
        return {}
    wallet, tier = before.books.wallet, tier_body(before)
    return {
        "carried": form.carried(),
        "answer": told,
        "available": wallet.available,
        "pending": wallet.pending,
        "debt": wallet.debt,
        "tier": tier and tier["name"],
        "policy": Clawback(before.program.points.clawback).label,
    }


def _run(request: HttpRequest, form: ReturnForm) -> bool:
    """Return the lines; say in the form what was refused, else what was done."""
    try:
        payload = form.command()
        answer = run_once(request, form.order.program_id, RETURN, payload, form.cleaned_data)
    except ValidationError as wrong:
        say_what_is_wrong(form, wrong)
        return False
    except LoyaltyError as error:
        form.add_error(None, error.detail)
        return False
    told = orjson.loads(answer.body)
    if answer.status >= 400:
        form.refuse(told)
        # The refusal is kept under its key; another try is another command.
        form.data = {**cast(dict[str, Any], form.data), "token": uuid4().hex}
        return False
    messages.success(request, _done(answer, told))
    return True


def _done(answer: Answer, told: dict[str, Any]) -> str:
    if answer.replayed:
        return "This was already done."
    if answer.status == KNOWN:
        return f"{_IS_KNOWN} Nothing more is taken back."
    said = [f"The return is recorded. Points taken back: {told['clawed_back']:,}."]
    if told["debt"]:
        said.append(f"Of these, the member owes {told['debt']:,}.")
    if told["reinstated"]:
        said.append(f"Points that paid for the order and are given back: {told['reinstated']:,}.")
    return " ".join(said)
