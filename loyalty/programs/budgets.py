"""Bring campaigns' budgets to what a published version says; tills may be taking from them now."""

from collections.abc import Mapping
from typing import Any

from loyalty.programs.models import CampaignBudget
from loyalty.programs.problems import DocumentInvalid, Problem


def change_budgets(program_id: int, campaigns: list[dict[str, Any]]) -> None:
    """Set the totals, in the order of codes, like everybody who locks more than one.

    Raises:
        DocumentInvalid: A budget falls below what is given already.
    """
    totals = {
        campaign["code"]: (index, campaign["budget_points"])
        for index, campaign in enumerate(campaigns)
        if "budget_points" in campaign
    }
    for code, (index, total) in sorted(totals.items()):
        row, created = CampaignBudget.objects.get_or_create(
            program_id=program_id, campaign=code, defaults={"total": total}
        )
        enough = CampaignBudget.objects.filter(pk=row.pk, used__lte=total)
        if not created and row.total != total and not enough.update(total=total):
            row.refresh_from_db()
            raise DocumentInvalid([_below_given(index, row.used)])


def too_low(program_id: int, campaigns: list[dict[str, Any]]) -> list[Problem]:
    """List the budgets of a draft that are below what is given by now."""
    used = used_of(program_id)
    return [
        _below_given(index, used[campaign["code"]])
        for index, campaign in enumerate(campaigns)
        if "budget_points" in campaign and campaign["budget_points"] < used.get(campaign["code"], 0)
    ]


def used_of(program_id: int) -> Mapping[str, int]:
    """Tell how many points each campaign with a budget has given, by code."""
    rows = CampaignBudget.objects.filter(program_id=program_id)
    return dict(rows.values_list("campaign", "used"))


def _below_given(index: int, used: int) -> Problem:
    message = f"must be at least {used}: so many points are given; switch it off instead"
    return Problem(("campaigns", index, "budget_points"), message)
