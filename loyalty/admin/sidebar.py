"""The sidebar: what belongs to the daily work, in its order; only what one may see."""

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

_GROUPS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Members": {
        "loyalty.member": ("Members", "group"),
        "loyalty.adjustmentrequest": ("Approvals", "rule"),
        "loyalty.ledgertransaction": ("Points ledger", "receipt_long"),
        "loyalty.order": ("Orders", "shopping_cart"),
        "loyalty.redemption": ("Redemptions", "redeem"),
        "loyalty.nightlyrun": ("Nights", "bedtime"),
    },
    "Program": {
        "loyalty.program": ("Points and tiers", "tune"),
        "loyalty.earningrule": ("Earning rules", "add_circle"),
        "loyalty.campaign": ("Campaigns", "campaign"),
        "loyalty.reward": ("Rewards", "card_giftcard"),
        "loyalty.codepool": ("Code pools", "confirmation_number"),
        "loyalty.segment": ("Segments", "group_work"),
        "loyalty.store": ("Stores", "storefront"),
        "loyalty.publishedversion": ("Published versions", "history"),
        "loyalty.backtest": ("Preview and backtest", "science"),
    },
    "API": {
        "loyalty.apikey": ("API keys", "key"),
        "loyalty.outboxevent": ("Events", "bolt"),
    },
    "Colleagues": {
        "auth.user": ("Users", "manage_accounts"),
        "auth.group": ("Groups", "groups"),
    },
}

# Apps above the engine, which it does not know: their pages say where and how they are listed.
_OTHERS: Final = {"crm_sync": "CRM sync"}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """List the groups of the sidebar for whoever asks."""
    index = {"title": "Overview", "icon": "space_dashboard", "link": reverse("admin:index")}
    groups = [{"title": "", "items": [{**index, "active": request.path == index["link"]}]}]
    for title, models in _GROUPS.items():
        groups.append({"title": title, "items": list(_items(request, models))})
    for app, title in _OTHERS.items():
        groups.append({"title": title, "items": list(_items(request, _pages_of(app)))})
    return [{**group, "separator": bool(group["title"])} for group in groups if group["items"]]


def place(request: HttpRequest) -> dict[str, Any]:
    """Say which page of the menu a page belongs to; its head calls it by the same name."""
    pages = (page for group in navigation(request) for page in group["items"])
    return {"place": next((page for page in pages if page["active"]), None)}


def _pages_of(app: str) -> dict[str, tuple[str, str]]:
    """List an app's pages by their `menu`, a place and an icon."""
    found = [(p.menu, model) for model, p in admin.site._registry.items() if hasattr(p, "menu")]
    return {
        model._meta.label_lower: (str(model._meta.verbose_name_plural).capitalize(), icon)
        for (_, icon), model in sorted(found, key=lambda page: page[0])
        if model._meta.app_label == app
    }


def _items(request: HttpRequest, models: dict[str, tuple[str, str]]) -> Iterable[dict[str, Any]]:
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    for label, (title, icon) in models.items():
        page = pages.get(label)
        if page is None or not page.has_view_permission(request):
            continue
        link = reverse(f"admin:{label.replace('.', '_')}_changelist")
        yield {
            "title": title,
            "icon": icon,
            "link": link,
            "active": request.path.startswith(link),
        }
