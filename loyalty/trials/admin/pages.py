"""The pages on which marketers try a program: the list, one backtest, and the preview."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from pydantic import ValidationError
from unfold.decorators import display

from loyalty.errors import LoyaltyError
from loyalty.http.actors import colleague, named
from loyalty.http.auth import Principal
from loyalty.http.problems import in_words
from loyalty.members.models import Member
from loyalty.programs.admin.actors import NamesActors
from loyalty.programs.expiry import last_day
from loyalty.programs.models import Program
from loyalty.trials import report, services
from loyalty.trials.admin import charts
from loyalty.trials.admin.forms import (
    ROWS,
    BacktestForm,
    BasketForm,
    Lines,
    basket_of,
    last_year,
    order_by_ref,
    order_said,
)
from loyalty.trials.candidates import draft_of
from loyalty.trials.comparison import brought_of, gift_in_words, issued_of, lines_of, rules_of
from loyalty.trials.models import Backtest
from loyalty.trials.preview import Preview, preview

STATES: Final = {
    "done": "success",
    "running": "info",
    "waiting": "info",
    "failed": "danger",
    "cancelled": "warning",
}
MAY_SEE_MEMBERS: Final = "loyalty.view_member"
RING_AGAIN: Final = timedelta(seconds=10)


@admin.register(Backtest)
class BacktestAdmin(NamesActors):
    """Backtests, newest first; what they found is never changed."""

    empty_words = (
        "No backtest yet. One shows what a draft would have given for the purchases that you have."
    )
    list_display = ("what", "period", "points", "state_shown", "asker", "created_at")
    actor_fields = ("created_by",)
    list_display_links = ("what",)
    list_filter = ("program",)
    list_select_related = ("program",)
    list_before_template = "admin/loyalty/trials/links.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: it tells what was found."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Say of those whose process was killed that it was."""
        services.give_up_lost()
        return super().get_queryset(request).defer("document")

    @display(description="Tried")
    def what(self, backtest: Backtest) -> str:
        """Name what was tried."""
        return f"{backtest.program.name}: {backtest.label}"

    @display(description="Orders of")
    def period(self, backtest: Backtest) -> str:
        """Name the period."""
        return f"{backtest.begin} to {backtest.end}"

    @display(description="Points")
    def points(self, backtest: Backtest) -> str:
        """Show the change in a word."""
        if backtest.result is None:
            return "–"
        totals = backtest.result["totals"]
        return charts.percent(totals["happened"]["net"], totals["tried"]["net"]) or "–"

    @display(description="Asked for by")
    def asker(self, backtest: Any) -> str:
        """Name the colleague."""
        name: str = backtest.named[backtest.created_by]
        return name

    @display(description="State", label=STATES)
    def state_shown(self, backtest: Backtest) -> str:
        """Show how far it is."""
        return str(backtest.state)

    def get_urls(self) -> list[URLPattern]:
        """Add the preview, and what belongs to one backtest."""
        wrap = self.admin_site.admin_view
        own = [
            path("preview/", wrap(self.preview_view), name="loyalty_preview"),
            path("<int:pk>/status/", wrap(self.status_view), name="loyalty_backtest_status"),
            path("<int:pk>/csv/", wrap(self.csv_view), name="loyalty_backtest_csv"),
            path("<int:pk>/cancel/", wrap(self.cancel_view), name="loyalty_backtest_cancel"),
        ]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask what to try on which orders, and begin."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BacktestForm(request.POST or None, initial=_initial(request))
        if request.method == "POST" and form.is_valid():
            backtest = _ask(form, colleague(request))
            if backtest is not None:
                page = reverse("admin:loyalty_backtest_change", args=[backtest.pk])
                return HttpResponseRedirect(page)
        return self._page(request, "new.html", "Backtest", form=form)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what was found, or how far it is."""
        backtest = self._backtest(request, int(object_id) if object_id.isdecimal() else 0)
        asker = named(backtest.created_by)
        context = {
            "backtest": backtest,
            "original": backtest,
            "asker": asker,
            **_drawn(backtest, by_name=request.user.has_perm(MAY_SEE_MEMBERS)),
        }
        return self._page(request, "backtest.html", "Backtest", **context)

    def status_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Tell a waiting page how far it is; ask for a worker again if none has come."""
        backtest = self._backtest(request, pk)
        waiting = backtest.state == Backtest.State.WAITING
        if waiting and backtest.created_at < timezone.now() - RING_AGAIN:
            services.ring(backtest.pk)
        told = {
            "ended": backtest.ended,
            "percent": backtest.percent,
            "words": _progress_words(backtest),
        }
        return JsonResponse(told)

    def csv_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give all numbers as one table."""
        backtest = self._backtest(request, pk)
        name = f"backtest-{backtest.program.code}-{backtest.pk}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        text = report.csv_text(backtest) if backtest.result else ""
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        backtest = self._backtest(request, pk)
        if request.method == "POST" and services.cancel(backtest.pk):
            messages.success(request, "The backtest is cancelled.")
        return HttpResponseRedirect(reverse("admin:loyalty_backtest_change", args=[pk]))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Show a basket under the draft and under what is live."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        head, lines, shown = self._taken_over(request)
        may_search = request.user.has_perm(MAY_SEE_MEMBERS)
        basket = BasketForm(request.POST or None, initial=head, may_search=may_search)
        rows = Lines(
            request.POST or None, initial=[*lines, *[{}] * max(1, ROWS - len(lines))], prefix="l"
        )
        rows.extra = 0
        if request.method == "POST" and basket.is_valid() and rows.is_valid():
            shown = _preview(request, basket, rows)
        context = {"basket": basket, "rows": rows, "ref": request.GET.get("order", ""), **shown}
        return self._page(request, "preview.html", "Preview", **context)

    def _taken_over(
        self, request: HttpRequest
    ) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
        """Fill the form with an order of the past, where one is asked for."""
        head, ref = _initial(request), request.GET.get("order", "").strip()
        program = Program.objects.filter(pk=head.get("program", 0)).first()
        if not ref or program is None or request.method == "POST":
            return head, [], {}
        try:
            return *basket_of(order_by_ref(program, ref), program), {}
        except LoyaltyError as error:
            return head, [], {"problem": error.detail}

    def _backtest(self, request: HttpRequest, pk: int) -> Backtest:
        if not self.has_view_permission(request):
            raise PermissionDenied
        services.give_up_lost()
        return get_object_or_404(Backtest.objects.select_related("program"), pk=pk)

    def _page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> HttpResponse:
        shared = self.admin_site.each_context(request)
        page = {**shared, "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/loyalty/trials/{template}", page)


def _initial(request: HttpRequest) -> dict[str, Any]:
    """Offer the program of the address, else the first one, and the last year."""
    asked = request.GET.get("program", "")
    programs = Program.objects.order_by("name")
    program = (programs.filter(pk=asked) if asked.isdecimal() else programs).first()
    if program is None:
        return {}
    begin, end = last_year(program)
    return {"program": program.pk, "begin": begin.isoformat(), "end": end.isoformat()}


def _ask(form: BacktestForm, actor: str) -> Backtest | None:
    said = form.cleaned_data
    try:
        backtest = services.ask(
            said["program"], form.tried(), begin=said["begin"], end=said["end"], actor=actor
        )
    except LoyaltyError as error:
        form.add_error(None, error.detail)
        return None
    services.ring(backtest.pk)
    return backtest


def _preview(request: HttpRequest, basket: BasketForm, rows: Any) -> dict[str, Any]:
    program: Program = basket.cleaned_data["program"]
    principal = Principal(
        key_id=0,
        program_id=program.pk,
        name=colleague(request),
        scopes=frozenset(),
        source="admin",
    )
    try:
        live, draft = preview(
            program,
            draft_of(program),
            member=basket.cleaned_data["member"],
            what=order_said(basket, rows),
            principal=principal,
        )
    except ValidationError as wrong:
        found = wrong.errors(include_url=False)[0]
        place = " ".join(str(part) for part in found["loc"] if not isinstance(part, int))
        return {"problem": f"{place}: {in_words(found)}".strip(": ")}
    except LoyaltyError as error:
        return {"problem": error.detail}
    return _side_by_side(live, draft, program)


def _side_by_side(live: Preview | None, draft: Preview, program: Program) -> dict[str, Any]:
    levels = dict(program.tier_levels.values_list("code", "name"))
    before = None if live is None or live.refused else live.body
    after = {} if draft.refused else draft.body
    change = int(after.get("points", 0)) - int((before or {}).get("points", 0))
    return {
        "live": live,
        "draft": draft,
        "rules": rules_of(before, after),
        "lines": lines_of(before, after),
        "sides": [
            {
                "title": f"After it, {each.label}",
                "body": each.body,
                "until": _last_day(each.body.get("expires_at"), program.timezone),
                "following": _following(each.body, levels),
                "issued": issued_of(each.body),
                "brought": brought_of(each.body),
                "referrer": gift_in_words(each.referrer),
            }
            for each in (live, draft)
            if each is not None and not each.refused
        ],
        "change": change,
        "shown": True,
    }


def _following(body: Mapping[str, Any], levels: Mapping[str, str]) -> str:
    following = (body.get("tier") or {}).get("next")
    if not following:
        return ""
    return f"{following['missing']} to {levels.get(following['code'], following['code'])}"


def _last_day(expires_at: str | None, zone: str) -> date | None:
    return last_day(datetime.fromisoformat(expires_at), zone) if expires_at else None


def _progress_words(backtest: Backtest) -> str:
    if backtest.state == Backtest.State.WAITING:
        return "Waiting for a worker"
    if not backtest.orders_total:
        return "Counting the orders"
    return f"{backtest.orders_done:,} of {backtest.orders_total:,} orders"


def _drawn(backtest: Backtest, *, by_name: bool) -> dict[str, Any]:
    """Prepare what the page draws."""
    result = backtest.result
    if result is None:
        return {"words": _progress_words(backtest)}
    totals = result["totals"]
    before, after = totals["happened"]["net"], totals["tried"]["net"]
    names = _names(result, by_name=by_name)
    return {
        "result": result,
        "change": after - before,
        "percent": charts.percent(before, after),
        "chart": charts.months_chart(result),
        "rules": charts.rules_table(result),
        "levels": charts.levels_table(result),
        "moves": charts.moves_table(result),
        "distribution": charts.distribution(result),
        "gainers": [{**m, "name": names[m["member"]]} for m in result["members"]["gainers"]],
        "losers": [{**m, "name": names[m["member"]]} for m in result["members"]["losers"]],
        "affected": result["members"]["gain"] + result["members"]["lose"],
        "skipped": sum(result["skipped"].values()),
    }


def _names(result: dict[str, Any], *, by_name: bool) -> dict[str, str]:
    """Name the members who are listed, to who may see them; who was erased since has no name."""
    found = result["members"]
    ids = {UUID(member["member"]) for member in (*found["gainers"], *found["losers"])}
    names = {str(each): f"…{each.hex[-8:]}" for each in ids}
    for member in Member.objects.filter(pk__in=ids if by_name else ()):
        name = f"{member.first_name} {member.last_name}".strip()
        names[str(member.pk)] = name or names[str(member.pk)]
    return names
