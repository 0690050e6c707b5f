"""What members used their points for, and what may be done about it."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from loyalty.admin import words
from loyalty.admin.filters import DaysFilter, ProgramFilter
from loyalty.admin.history import HistoryAdmin, changes_made
from loyalty.admin.redemption_back import FORMS, offered, view_of
from loyalty.orders.models import Order
from loyalty.programs.models import Program
from loyalty.programs.selectors import published_program
from loyalty.rewards.models import Redemption


@admin.register(Redemption)
class RedemptionAdmin(HistoryAdmin):
    """What members used their points for."""

    empty_words = "Nobody has used points yet."
    list_display = (
        "created",
        "what",
        "points",
        "member",
        "store",
        "order_ref",
        "status",
        "fulfilment",
        "fulfilment_note",
    )
    list_filter = (
        ProgramFilter,
        ("state", ChoicesCheckboxFilter),
        ("fulfilment", ChoicesCheckboxFilter),
        ("created_at", DaysFilter),
    )
    search_help_text = "A member's id, or a reward's code or name"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Name the rewards of the page at once."""
        page = super().get_changelist_instance(request)
        _name_rewards(page.result_list)
        return page

    @display(description="Redeemed (UTC)")
    def created(self, redemption: Redemption) -> Any:
        """Show when."""
        return redemption.created_at

    @display(description="For")
    def what(self, redemption: Any) -> str:
        """Name the reward."""
        return redemption.reward_title or "paid with points"

    @display(description="State", label=words.REDEMPTION_COLOURS)
    def status(self, redemption: Redemption) -> str:
        """Show the state in its colour."""
        return redemption.state

    def find(self, queryset: Any, term: str) -> Any:
        """Find by the reward."""
        return queryset.filter(reward__in=[term, *_codes_of(term)])

    def get_urls(self) -> list[URLPattern]:
        """Add the actions' pages. They stand outside of the admin's transaction: the engine
        begins and commits its own."""
        pages = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(view_of(form)),
                {"page": self},
                name=f"loyalty_redemption_{name}",
            )
            for name, form in FORMS.items()
        ]
        return [*pages, *super().get_urls()]

    def show_row(self, request: HttpRequest, redemption: Redemption) -> HttpResponse:
        """Show a redemption: what it gave, and what became of its points."""
        _name_rewards([redemption])
        context = {
            **self.admin_site.each_context(request),
            "title": f"Redemption: {self.what(redemption)}",
            "opts": self.opts,
            "original": redemption,
            "redemption": redemption,
            "what": self.what(redemption),
            "order": _order_of(redemption),
            "offered": offered(request, redemption),
            "gives": words.gives(redemption.gives),
            "changes": changes_made(
                Q(member_id=redemption.member_id, redemption_number=redemption.number)
            ),
            "member": self.link_to(request, redemption.member_id),
            "zone": Program.objects.values_list("timezone", flat=True).get(
                pk=redemption.program_id
            ),
        }
        return TemplateResponse(request, "admin/loyalty/redemption/page.html", context)


def _order_of(redemption: Redemption) -> Order | None:
    """Find the order that a redemption names, where its member has but one of that number."""
    if not redemption.order_ref:
        return None
    orders = Order.objects.filter(member_id=redemption.member_id, ref=redemption.order_ref)
    found = list(orders[:2])
    return found[0] if len(found) == 1 else None


def _name_rewards(redemptions: Iterable[Any]) -> None:
    """Name what was redeemed as members see it now; a reward that is gone keeps its code."""
    shown = list(redemptions)
    programs = {pk: published_program(pk) for pk in {row.program_id for row in shown}}
    for row in shown:
        reward = programs[row.program_id].rewards.get(row.reward)
        row.reward_title = f"{reward.name} ({row.reward})" if reward else row.reward


def _codes_of(name: str) -> list[str]:
    """List the codes of rewards that are called so, in any program."""
    published = Program.objects.filter(version__gt=0).values_list("pk", "version")
    programs = [published_program(pk, version=version) for pk, version in published]
    rewards = [reward for program in programs for reward in program.rewards.values()]
    return [reward.code for reward in rewards if reward.name.casefold() == name.casefold()]
