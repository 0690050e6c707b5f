"""Bring campaigns' budgets to what a published version says; tills may be taking from them now."""

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
            message = (
                f"must be at least {row.used}: so many points are given; switch it off instead"
            )
            raise DocumentInvalid([Problem(("campaigns", index, "budget_points"), message)])
