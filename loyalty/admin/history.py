"""What happened: ledger transactions and events, to look at only."""

import json
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import Truncator
from unfold.decorators import display

from loyalty.admin import words
from loyalty.admin.access import RowPageAdmin, as_uuid
from loyalty.admin.filters import DaysFilter, EventTypeFilter, KindFilter, ProgramFilter
from loyalty.admin.named import NamesMembers
from loyalty.admin.requests import HELP, refusals_of_request, transactions_of_request
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import envelope
from loyalty.http.actors import actors_named, name_actors
from loyalty.ledger.models import LedgerTransaction, MemberState, Posting
from loyalty.orders.models import Order
from loyalty.programs.models import Program

MOST_CHANGES: Final = 50
"""Of one order; a return of each line and a correction or two are far fewer."""


class HistoryAdmin(NamesMembers, RowPageAdmin):
    """A list of what members did, newest first; searched by a member's id or a ref."""

    ordering = ("-id",)
    list_filter_submit = True
    search_fields = ("id",)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find by the member's id, which is indexed, and by what the kind of row is called."""
        term = search_term.strip()
        if not term:
            return queryset, False
        member = as_uuid(term)
        if member is not None:
            return queryset.filter(member_id=member), False
        return self.find(queryset, term), False

    def find(self, queryset: Any, term: str) -> Any:
        """Find by something else than a member."""
        return queryset.none()

    @display(description="Recorded (UTC)")
    def recorded(self, row: Any) -> Any:
        """Show when; rows of several programs stand together, so in one time zone."""
        return row.recorded_at


@admin.register(LedgerTransaction)
class LedgerAdmin(HistoryAdmin):
    """Every change of points, with its postings and its reason."""

    empty_words = "No points have moved yet. Each change will stand here, with who did it and why."
    not_found_words = (
        "Only what moved points is here: not a redemption that was refused, nor a look at a "
        "balance. Requests are looked for in the last 3 days, or in the days of the filter."
    )
    list_display = ("recorded", "what", "effect", "member", "for_what", "who", "reason")
    list_filter = (ProgramFilter, KindFilter, ("recorded_at", DaysFilter))
    actor_fields = ("actor",)
    search_help_text = f"A member's id, or {HELP}, or of the days of the filter, 31 at most"

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find by the member, or by what request caused it."""
        term = search_term.strip()
        member = as_uuid(term)
        if not term or (member and MemberState.objects.filter(pk=member).exists()):
            return super().get_search_results(request, queryset, search_term)
        found = transactions_of_request(term, request.GET.dict())
        if not found:
            _say_what_it_did_instead(request, term)
        return queryset.filter(pk__in=found), False

    @display(description="What")
    def what(self, row: LedgerTransaction) -> str:
        """Say it in words."""
        return words.kind_in_words(row.kind)

    @display(description="Order or ref")
    def for_what(self, row: LedgerTransaction) -> str:
        """Show what it belongs to, in the caller's words."""
        return row.source_ref or "–"

    @display(description="By")
    def who(self, row: Any) -> str:
        """Name the colleague, or the API key."""
        name: str = row.named[row.actor]
        return name

    @display(description="Points")
    def effect(self, row: LedgerTransaction) -> str:
        """Show the effect on what the member can spend."""
        return words.signed(row.points)

    def show_row(self, request: HttpRequest, row: LedgerTransaction) -> HttpResponse:
        """Show one ledger transaction: what moved, and why."""
        told = {"actor": row.actor, "why": words.explanation(row.explanation)}
        name_actors([told])
        context = {
            **self.admin_site.each_context(request),
            "title": f"{words.kind_in_words(row.kind)}: {words.signed(row.points)} points",
            "opts": self.opts,
            "original": row,
            "row": row,
            "kind": words.kind_in_words(row.kind),
            "points": words.signed(row.points),
            "member": self.link_to(request, row.member_id),
            "program": Program.objects.filter(pk=row.program_id).first(),
            "order": _order_of(row),
            "source": words.SOURCES.get(row.source, row.source),
            **told,
            "postings": _moved(row),
        }
        return TemplateResponse(request, "admin/loyalty/ledger/transaction.html", context)


def _say_what_it_did_instead(request: HttpRequest, request_id: str) -> None:
    """Tell of a request that moved no points that it was refused, if it was."""
    for refusal in refusals_of_request(request_id, request.GET.dict()):
        at = f"{refusal.at:%-d %B %Y, %H:%M} UTC"
        said = f"That request moved no points. It was refused on {at}: {refusal.detail}"
        messages.info(request, f"{said} ({refusal.code})")


def _moved(row: LedgerTransaction) -> list[str]:
    postings = Posting.objects.filter(member_id=row.member_id, transaction_number=row.number)
    return [
        words.posting_in_words(
            amount=posting.amount,
            lot=posting.lot_number,
            source=posting.source,
            destination=posting.destination,
        )
        for posting in postings.order_by("seq")
    ]


def _order_of(row: LedgerTransaction) -> Order | None:
    if row.order_number is None:
        return None
    return Order.objects.filter(member_id=row.member_id, number=row.order_number).first()


def changes_made(made: Q) -> list[dict[str, Any]]:
    """Read changes of points, the newest first."""
    rows = LedgerTransaction.objects.filter(made)
    return [
        {
            "kind": words.kind_in_words(row.kind),
            "points": words.signed(row.points),
            "recorded_at": row.recorded_at,
            "reason": row.reason,
            "why": words.explanation(row.explanation),
            "postings": _moved(row),
        }
        for row in rows.order_by("-recorded_at", "-number")[:MOST_CHANGES]
    ]


@admin.register(OutboxEvent)
class EventAdmin(HistoryAdmin):
    """The outbox: every effect once, as readers of the feed see it."""

    empty_words = "Nothing has happened yet."
    # Descending positions begin with none at all: events that the relay has not seen yet.
    ordering = ("-position",)
    list_display = ("recorded", "type", "member", "told", "sequence", "position")
    list_filter = (ProgramFilter, EventTypeFilter)
    search_help_text = "A member's id"

    @display(description="Says")
    def told(self, event: OutboxEvent) -> str:
        """Show what the event carries, in a line."""
        return Truncator(words.fact(event.data)).chars(120)

    def show_row(self, request: HttpRequest, event: OutboxEvent) -> HttpResponse:
        """Show all that an event carries, and what receivers get."""
        actor = event.cause.get("actor") or ""
        who = actors_named([actor])[actor]
        context = {
            **self.admin_site.each_context(request),
            "title": str(event),
            "opts": self.opts,
            "original": event,
            "event": event,
            "told": _facts(event.data),
            "balances": _facts(event.balances),
            "cause": _facts(event.cause | {"actor": who}),
            "member": self.link_to(request, event.member_id),
            "zone": Program.objects.values_list("timezone", flat=True).get(pk=event.program_id),
            "document": json.dumps(envelope(event), indent=2, ensure_ascii=False),
        }
        return TemplateResponse(request, "admin/loyalty/event/page.html", context)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """List what is said, in words; what is empty is left out."""
    return [
        (name.replace("_", " ").capitalize(), words.fact(value))
        for name, value in found.items()
        if value not in (None, "", [], {})
    ]
