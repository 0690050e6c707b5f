"""The pages on which marketers edit programs, stores, earning rules and rewards."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import display

from loyalty.http.actors import named
from loyalty.programs import sentences
from loyalty.programs.admin.drafts import DraftAdmin
from loyalty.programs.admin.forms import (
    InlineRows,
    LevelForm,
    PointsForm,
    ProgramForm,
    StoreForm,
)
from loyalty.programs.admin.reward_forms import RewardForm
from loyalty.programs.admin.rule_forms import CONDITION_FIELDS, RuleForm
from loyalty.programs.choices import Gives
from loyalty.programs.currencies import SCALES, format_amount
from loyalty.programs.models import (
    EarningRule,
    PointCurrency,
    Program,
    PublishedVersion,
    Reward,
    RewardStock,
    Store,
    TierLevel,
)

ON_OFF = {"on": "success", "off": "danger"}


class PointsInline(StackedInline):
    """The points policy; each program has exactly one."""

    model = PointCurrency
    form = PointsForm
    formset = InlineRows
    can_delete = False
    min_num = max_num = 1
    verbose_name = verbose_name_plural = "How points behave"
    fieldsets = (
        (None, {"fields": (("name", "rounding"), ("value_points", "value_amount"))}),
        ("Paying with points", {"fields": (("pay_min", "pay_step", "pay_max_share"),)}),
        (
            "When points can be used",
            {
                "fields": (
                    ("maturity_days", "hold_minutes"),
                    "expiry",
                    ("expiry_months", "expiry_until"),
                    "expiry_dates",
                    ("expiring_notice_days", "inactive_notice_days"),
                )
            },
        ),
        (
            "Special cases",
            {
                "fields": (
                    ("unknown_member", "accept_late_days"),
                    "clawback",
                    ("lapsed", "lapsed_grace_days"),
                    "adjustment_limit",
                    ("signal_orders", "signal_adjustments"),
                )
            },
        ),
    )


class LevelsInline(TabularInline):
    """The tier levels, from the ground up."""

    model = TierLevel
    form = LevelForm
    formset = InlineRows
    extra = 0
    verbose_name_plural = "Tier levels"


@admin.register(Program)
class ProgramAdmin(DraftAdmin):
    """A program: who it is, its points and its tiers."""

    empty_words = (
        "No program yet. Add one with its name, currency and time zone, or apply a program file."
    )
    form = ProgramForm
    inlines = (LevelsInline, PointsInline)
    list_display = ("name", "code", "currency", "timezone", "live", "published")
    search_fields = ("name", "code")
    warn_unsaved_form = True
    # No conditional_fields: the theme makes a variable of each field, and one that is called
    # `window` hides the browser's own from the theme's scripts.
    fieldsets = (
        ("Program", {"fields": (("name", "code"), ("currency", "timezone"))}),
        (
            "How members rise and fall",
            {
                "fields": (
                    "qualify_by",
                    "window",
                    "rolling_months",
                    "validity",
                    "validity_months",
                    "warning_days",
                    "downgrade",
                    "grace_days",
                    "on_return",
                ),
                "description": "Needs tier levels, below; without any, nobody rises or falls.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Program]:
        """Add when the live version was published."""
        newest = PublishedVersion.objects.filter(program=OuterRef("pk")).order_by("-version")
        rows: QuerySet[Program] = super().get_queryset(request)
        return rows.annotate(published_at=Subquery(newest.values("published_at")[:1]))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: members, points and published versions belong to it."""
        return False

    @display(description="Live version", label={"none yet": "warning"})
    def live(self, program: Program) -> str:
        """Show the version that tills use now."""
        return f"version {program.version}" if program.version else "none yet"

    @display(description="Published", ordering="published_at")
    def published(self, program: Any) -> Any:
        """Show since when."""
        return program.published_at

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show above the form which version is live, and what it changed."""
        shown = self.get_object(request, object_id)  # none where the address names no number
        live = PublishedVersion.objects.filter(program=shown).order_by("-version").first()
        publisher = named(live.published_by) if live else ""
        context = {"live": live, "publisher": publisher, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)


class PartAdmin(DraftAdmin):
    """A list of one kind of part; the program is shown where there are several."""

    list_select_related = ("program",)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Add the program where there is more than one to tell apart."""
        shown = [*super().get_list_display(request)]
        return [*shown, "program"] if _several_programs() else shown

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Filter by program where there is more than one."""
        filters = [*super().get_list_filter(request)]
        return ["program", *filters] if _several_programs() else filters

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Choose the program where there is only one."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if not _several_programs():
            initial.setdefault("program", Program.objects.values_list("pk", flat=True).first())
        return initial

    @display(description="State", label=ON_OFF, ordering="is_active")
    def state(self, part: Any) -> str:
        """Show whether it is switched on."""
        return "on" if part.is_active else "off"


def _several_programs() -> bool:
    return len(Program.objects.values_list("pk")[:2]) > 1


@admin.register(Store)
class StoreAdmin(PartAdmin):
    """The stores; tills name them by their codes."""

    empty_words = (
        "No store yet. Add those whose codes your tills send; purchases without a store need none."
    )
    form = StoreForm
    list_display = ("name", "code")
    search_fields = ("code", "name")


@admin.register(EarningRule)
class EarningRuleAdmin(PartAdmin):
    """What gives points."""

    empty_words = (
        "No rule yet: nothing gives points. Begin with one that gives points for the amount "
        "of a purchase."
    )
    form = RuleForm
    list_display = ("__str__", "what", "conditions", "dates", "state")
    list_filter = ("kind", "is_active")
    search_fields = ("code", "name")
    conditional_fields = {
        "activity": "trigger == 'activity'",
        "who": "trigger == 'referral'",
        "points": "kind == 'base'",
        "per": "kind == 'base'",
        "steps": "kind == 'base'",
        "multiply": "kind == 'multiplier'",
        "bonus": "kind == 'bonus'",
    }
    fieldsets = (
        (None, {"fields": ("program", ("name", "code"), "is_active")}),
        (
            "What it gives",
            {
                "fields": (
                    "trigger",
                    "activity",
                    "who",
                    "kind",
                    ("points", "per"),
                    "steps",
                    "multiply",
                    "bonus",
                    "group",
                    ("limit_times", "limit_per"),
                    "limit_points",
                )
            },
        ),
        (
            "For which purchases, or activities",
            {
                "fields": CONDITION_FIELDS,
                "description": "All that is filled in must hold; what is empty does not count.",
            },
        ),
        ("When", {"fields": (("starts_on", "ends_on"), "position")}),
    )

    @display(description="Gives")
    def what(self, rule: EarningRule) -> str:
        """Say it in a few words."""
        return sentences.effect(_entry(rule), rule.program.currency)

    @display(description="For")
    def conditions(self, rule: EarningRule) -> str:
        """Say for which purchases."""
        told = sentences.conditions(_entry(rule), rule.program.currency)
        return ", ".join(told) or "all purchases"

    @display(description="Dates")
    def dates(self, rule: EarningRule) -> str:
        """Say when it is in force."""
        return _dates(rule)


@admin.register(Reward)
class RewardAdmin(PartAdmin):
    """What members can have for their points."""

    empty_words = "No reward yet: points buy nothing. Add what members can have for theirs."
    form = RewardForm
    list_display = ("name", "cost", "given", "left", "dates", "state")
    list_filter = ("is_active", "gives")
    search_fields = ("code", "name")
    conditional_fields = {
        "amount": "['amount_off', 'percent_off', 'store_credit'].includes(gives)",
        "percent": "gives == 'percent_off'",
        "what": "['product', 'custom', 'code_from_pool'].includes(gives)",
        "code_shown": "gives == 'code_from_pool'",
        "code_returned": "gives == 'code_from_pool'",
    }
    fieldsets = (
        (None, {"fields": ("program", ("name", "code"), "is_active")}),
        (
            "What it costs and gives",
            {
                "fields": (
                    ("cost", "tier_costs"),
                    "gives",
                    "percent",
                    "amount",
                    "what",
                    "code_shown",
                    "code_returned",
                )
            },
        ),
        (
            "Who may have it",
            {
                "fields": (
                    ("stock", "stock_low"),
                    ("per_member_times", "per_member_per"),
                    "tiers",
                    ("segments", "not_in_segments"),
                )
            },
        ),
        ("When", {"fields": (("starts_on", "ends_on"), "position")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reward]:
        """Add how many are left, which tills change."""
        stock = RewardStock.objects.filter(
            program_id=OuterRef("program_id"), reward=OuterRef("code")
        )
        rows: QuerySet[Reward] = super().get_queryset(request)
        return rows.annotate(remaining=Subquery(stock.values("remaining")[:1]))

    @display(description="Gives")
    def given(self, reward: Reward) -> str:
        """Say what the member gets."""
        if reward.gives == Gives.PERCENT_OFF:
            most = f", at most {_money(reward.program, reward.amount)}" if reward.amount else ""
            return f"{reward.percent} % off{most}"
        if reward.gives == Gives.STORE_CREDIT:
            return f"{_money(reward.program, reward.amount)} store credit"
        if reward.gives == Gives.AMOUNT_OFF:
            return f"{_money(reward.program, reward.amount)} off"
        return f"product {reward.what}" if reward.gives == Gives.PRODUCT else reward.what

    @display(description="Left", ordering="remaining")
    def left(self, reward: Any) -> str:
        """Show the stock as tills have it now; they have none before it is published."""
        if reward.stock is None:
            return "no limit"
        left = reward.stock if reward.remaining is None else reward.remaining
        return f"{left} of {reward.stock}"

    @display(description="Dates")
    def dates(self, reward: Reward) -> str:
        """Say when it can be had."""
        return _dates(reward)


def _money(program: Program, amount: Any) -> str:
    scale = SCALES.get(program.currency, 2)
    minor = int(amount.scaleb(scale)) if amount is not None else 0
    return f"{format_amount(minor, scale)} {program.currency}"


def _entry(rule: EarningRule) -> dict[str, Any]:
    return {key: value for key, value in rule.entry().items() if value is not None}


def _dates(part: Any) -> str:
    if part.starts_on and part.ends_on:
        return f"{part.starts_on} to {part.ends_on}"
    if part.starts_on:
        return f"from {part.starts_on}"
    return f"to {part.ends_on}" if part.ends_on else "always"
