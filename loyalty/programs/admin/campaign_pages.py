"""The pages of campaigns: which run, what is left of their budgets, and what they give."""

from datetime import date
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from loyalty.programs import selectors, sentences
from loyalty.programs.admin.campaign_forms import CampaignForm, CampaignRuleForm
from loyalty.programs.admin.pages import PartAdmin
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Campaign, CampaignBudget, EarningRule, Program

STATES = {
    "running": "success",
    "planned": "info",
    "not live yet": "info",
    "ended": "warning",
    "off": "danger",
}


@admin.register(Campaign)
class CampaignAdmin(PartAdmin):
    """Dated rules with a budget."""

    empty_words = "No campaign yet. One gives points for some days, up to a budget."
    form = CampaignForm
    change_form_after_template = "admin/loyalty/campaign/rules.html"
    list_display = ("name", "what", "dates", "running", "budget")
    list_filter = ("is_active",)
    search_fields = ("code", "name")
    readonly_fields = ("budget",)
    fieldsets = (
        (None, {"fields": ("program", ("name", "code"), "is_active")}),
        ("When", {"fields": (("starts_on", "ends_on"), "position")}),
        ("Budget", {"fields": (("budget_points", "when_short"), "budget")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        """Add what was given of the budget, which tills change."""
        kept = CampaignBudget.objects.filter(
            program_id=OuterRef("program_id"), campaign=OuterRef("code")
        )
        rows: QuerySet[Campaign] = super().get_queryset(request)
        return rows.annotate(used=Subquery(kept.values("used")[:1]))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[Any]]":
        """Give the rules' forms the fields that a standing rule's page has."""
        form = super().get_form(request, obj, change=change, **kwargs)
        rules = self.admin_site.get_model_admin(EarningRule)
        made = forms.modelform_factory(
            EarningRule,
            form=CampaignRuleForm,
            formfield_callback=partial(rules.formfield_for_dbfield, request=request),
        )
        return type(form.__name__, (form,), {"rule_form": made, "rule_admin": rules})

    @display(description="Gives")
    def what(self, campaign: Campaign) -> str:
        """Say what its rules do."""
        told = [sentences.rule(rule, campaign.program.currency) for rule in campaign.rules]
        return "; ".join(told)

    @display(description="Dates")
    def dates(self, campaign: Campaign) -> str:
        """Say when it is in force."""
        return f"{campaign.starts_on} to {campaign.ends_on}"

    @display(description="State", label=STATES)
    def running(self, campaign: Campaign) -> str:
        """Say whether it runs today, by the program's clock, in what tills use now."""
        program = campaign.program
        state = state_of(campaign, local_day(timezone.now(), program.timezone))
        if state == "running" and not _is_live(program, campaign.code):
            return "not live yet"
        return state

    @display(description="Given of the budget")
    def budget(self, campaign: Any) -> str:
        """Show how much of the budget is given."""
        total, used = campaign.budget_points, getattr(campaign, "used", None) or 0
        if not campaign.pk:
            return "nothing yet"
        if total is None:
            return "no budget"
        percent = min(100, 100 * used // total)
        return format_html(
            '<span class="ly-budget"><span>{} of {}</span>'
            '<span class="ly-progress"><i style="width:{}%"></i></span></span>',
            f"{used:,}",
            f"{total:,}",
            percent,
        )


def _is_live(program: Program, code: str) -> bool:
    version = program.version
    if not version:
        return False
    return code in selectors.published_program(program.pk, version=version).campaigns


def state_of(campaign: Campaign, today: date) -> str:
    """Tell whether a campaign is planned, running, ended, or off."""
    if not campaign.is_active:
        return "off"
    if today < campaign.starts_on:
        return "planned"
    return "ended" if today > campaign.ends_on else "running"
