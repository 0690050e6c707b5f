"""What a marketer fills in to try a program."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Q
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from loyalty.errors import NotFound, ValidationFailed
from loyalty.members.finding import read_member
from loyalty.members.identifiers import MemberRef
from loyalty.orders.models import Order as OrderRow
from loyalty.orders.models import OrderClaim
from loyalty.orders.schemas import Line, Order
from loyalty.programs.currencies import SCALES, format_amount
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program
from loyalty.trials.candidates import Candidate, draft_of, version_of

ROWS = 6
"""Lines that an empty basket offers; an order of the past brings as many as it has."""


def text(**more: Any) -> Any:
    """Make a text field in the theme's look."""
    attributes = more.pop("attributes", {})
    return forms.CharField(
        required=more.pop("required", False),
        max_length=more.pop("max_length", 100),
        widget=UnfoldAdminTextInputWidget(attributes),
        **more,
    )


class ProgramChoice(forms.Form):
    """Which program, and what of it is tried."""

    program = forms.ModelChoiceField(
        Program.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["program"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Program.objects.order_by("name")


class BacktestForm(ProgramChoice):
    """A backtest: what is tried, and on the orders of which days."""

    version = forms.IntegerField(
        label="Version",
        required=False,
        min_value=1,
        help_text="Empty: the draft. Or the number of a version that was published once.",
        widget=UnfoldAdminTextInputWidget({"type": "number", "min": 1}),
    )
    begin = forms.DateField(label="First day", widget=UnfoldAdminTextInputWidget({"type": "date"}))
    end = forms.DateField(
        label="Last day",
        help_text="By the days of the purchases, in the program's time zone.",
        widget=UnfoldAdminTextInputWidget({"type": "date"}),
    )

    def tried(self) -> Candidate:
        """Give the program that is tried.

        Raises:
            NotFound: There is no such version.
            DocumentInvalid: The draft contradicts itself.
        """
        program, version = self.cleaned_data["program"], self.cleaned_data["version"]
        return version_of(program, version) if version else draft_of(program)


def last_year(program: Program) -> tuple[date, date]:
    """Give the period that a form offers: the year that ends yesterday."""
    yesterday = local_day(timezone.now(), program.timezone) - timedelta(days=1)
    return yesterday - timedelta(days=364), yesterday


class BasketForm(ProgramChoice):
    """Who buys, where and when."""

    member = text(
        label="Member",
        help_text="A card, email, phone, name or id. Empty: somebody who joins with this.",
    )
    store = text(label="Store", max_length=50, help_text="A store's code, or empty.")
    channel = text(label="Channel", max_length=20, help_text="Such as pos or web, or empty.")
    at = forms.DateTimeField(
        label="When",
        required=False,
        help_text="In the program's time zone. Empty: now.",
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, may_search: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._may_search = may_search
        if not may_search:
            how = "card:…, external:… or the member's id"
            self.fields["member"].help_text = f"{how}. Empty: somebody who joins with this."

    def clean_member(self) -> MemberRef | None:
        """Find who is meant, by whatever support would find them by."""
        said, program = self.cleaned_data["member"].strip(), self.cleaned_data.get("program")
        if not said or program is None:
            return None
        try:
            return read_member(said, program_id=program.pk, may_search=self._may_search)
        except ValueError as wrong:
            raise forms.ValidationError(str(wrong)) from None

    def moment(self) -> datetime:
        """Give when the purchase happens."""
        at: datetime | None = self.cleaned_data["at"]
        if at is None:
            return timezone.now()
        return at.replace(tzinfo=ZoneInfo(self.cleaned_data["program"].timezone))


class LineForm(forms.Form):
    """One line of the basket; without an amount there is none."""

    sku = text(label="Product", attributes={"aria-label": "Product"})
    category = text(label="Category", attributes={"aria-label": "Category"})
    brand = text(label="Brand", attributes={"aria-label": "Brand"})
    quantity = text(label="Quantity", max_length=14, attributes={"aria-label": "Quantity"})
    amount = forms.DecimalField(
        label="Amount",
        required=False,
        widget=UnfoldAdminTextInputWidget({"aria-label": "Amount", "inputmode": "decimal"}),
    )

    def line(self, name: str) -> Line | None:
        """Give the line as a till would send it."""
        said = self.cleaned_data
        amount: Decimal | None = said.get("amount")
        if amount is None:
            return None
        return Line(
            line=name,
            sku=said["sku"] or f"product {name}",
            quantity=said["quantity"] or "1",
            amount=f"{amount:f}",
            category=said["category"] or None,
            brand=said["brand"] or None,
        )


Lines = forms.formset_factory(LineForm, extra=0, max_num=200)


def order_said(basket: BasketForm, lines: Any) -> Order:
    """Put the forms together to the order that a till would send.

    Raises:
        ValidationFailed: No line has an amount.
        ValidationError: pydantic's, where a till would be refused.
    """
    found = [form.line(str(number)) for number, form in enumerate(lines, 1)]
    if not any(found):
        raise ValidationFailed("Give at least one line an amount.")
    said, program = basket.cleaned_data, basket.cleaned_data["program"]
    return Order(
        ref="preview",
        store=said["store"] or None,
        channel=said["channel"] or None,
        occurred_at=basket.moment().isoformat(),  # type: ignore[arg-type]  # read as a till's
        currency=program.currency,
        lines=[line for line in found if line is not None],
    )


def basket_of(order: OrderRow, program: Program) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fill both forms with an order that was recorded."""
    at = order.occurred_at.astimezone(ZoneInfo(program.timezone))
    head = {
        "program": program.pk,
        "member": str(order.member_id),
        "store": order.store,
        "channel": order.channel,
        "at": f"{at:%Y-%m-%dT%H:%M}",
    }
    scale = SCALES[program.currency]
    names = ("sku", "category", "brand", "quantity")
    lines = [
        {
            **{name: line.get(name, "") for name in names},
            "amount": format_amount(line["amount"], scale),
        }
        for line in order.lines
    ]
    return head, lines


def order_by_ref(program: Program, ref: str) -> OrderRow:
    """Find a recorded order by its number.

    Raises:
        NotFound: There is none; with several, the newest is meant.
    """
    claims = OrderClaim.objects.filter(program_id=program.pk, ref=ref)
    wanted = Q(pk__in=())
    for member_id, number in claims.values_list("member_id", "number")[:20]:
        wanted |= Q(member_id=member_id, number=number)
    found = OrderRow.objects.filter(wanted).order_by("-recorded_at").first()
    if found is None:
        raise NotFound(f"{program.name} has no order {ref}.")
    return found
