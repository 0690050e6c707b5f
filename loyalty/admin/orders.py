"""Orders as they are now: why they gave their points, and what came back of them."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from loyalty.admin.filters import DaysFilter, ProgramFilter
from loyalty.admin.history import HistoryAdmin, changes_made
from loyalty.admin.order_return import lines_of, may_return, money, return_view
from loyalty.http.actors import name_actors
from loyalty.orders.models import Order, OrderClaim
from loyalty.orders.rules import quantity_text
from loyalty.programs.models import Program


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    """Purchases as they are now."""

    empty_words = "No purchase has come in yet. Connect a till with an API key."
    list_display = (
        "ref",
        "occurred",
        "store",
        "amount",
        "points",
        "taken_back",
        "status",
        "member",
    )
    list_filter = (
        ProgramFilter,
        ("state", ChoicesCheckboxFilter),
        ("recorded_at", DaysFilter),
    )
    search_help_text = "A member's id, or an order's ref"

    @display(description="Happened (UTC)")
    def occurred(self, order: Order) -> Any:
        """Show when the purchase was."""
        return order.occurred_at

    @display(description="Net amount")
    def amount(self, order: Order) -> str:
        """Show the amount with its currency."""
        return money(order.net_amount, order.currency)

    @display(description="Taken back")
    def taken_back(self, order: Order) -> int:
        """Show how many of its points returns took back."""
        return order.clawed_back

    @display(
        description="State", label={"paid": "success", "open": "warning", "cancelled": "danger"}
    )
    def status(self, order: Order) -> str:
        """Show the state in its colour."""
        return order.state

    def find(self, queryset: Any, term: str) -> Any:
        """Find by the claims of a ref, which are indexed; the orders are not."""
        programs = list(Program.objects.values_list("pk", flat=True))
        claims = OrderClaim.objects.filter(program_id__in=programs, ref=term)
        wanted = Q()
        for member_id, number in claims.values_list("member_id", "number")[:20]:
            wanted |= Q(member_id=member_id, number=number)
        return queryset.filter(wanted) if wanted else queryset.none()

    def get_urls(self) -> list[URLPattern]:
        """Add the return. It stands outside of the admin's transaction: the engine begins and
        commits its own."""
        back = path(
            "<int:pk>/return/",
            self.admin_site.admin_view(return_view),
            {"page": self},
            name="loyalty_order_return",
        )
        return [back, *super().get_urls()]

    def show_row(self, request: HttpRequest, order: Order) -> HttpResponse:
        """Show an order with its lines, and why it gave the points that it gave."""
        lines = lines_of(order)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Order {order.ref}",
            "opts": self.opts,
            "original": order,
            "order": order,
            "amount": money(order.net_amount, order.currency),
            "lines": lines,
            "may_return": may_return(request) and any(line["left"] for line in lines),
            "returns": _returns(order),
            "changes": changes_made(_made_by(order)),
            "member": self.link_to(request, order.member_id),
            "zone": Program.objects.values_list("timezone", flat=True).get(pk=order.program_id),
        }
        return TemplateResponse(request, "admin/loyalty/order/page.html", context)


def _made_by(order: Order) -> Q:
    """Tell of what an order made, also of none; what it earned before a merge stays in a ledger."""
    made = Q(member_id=order.member_id, order_number=order.number)
    if order.awarded_to is not None:
        award = order.transaction_number
        made |= Q(Q(number=award) | Q(reverses=award), member_id=order.awarded_to)
    return made


def _returns(order: Order) -> list[dict[str, Any]]:
    """List what came back, the newest first, with who said so and why."""
    rows = [
        {
            "ref": ref,
            "at": datetime.fromisoformat(known["at"]),
            "actor": known["by"],
            "reason": known["reason"],
            "lines": [
                {"line": line, "quantity": quantity_text(units)}
                for line, units in known["units"].items()
            ],
            "points": known["answer"]["clawed_back"],
        }
        for ref, known in order.returns.items()
    ]
    name_actors(rows)
    return sorted(rows, key=lambda row: row["at"], reverse=True)
