"""The list of members, and the ways to their pages and actions."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from loyalty.admin import member_actions, person_actions, words
from loyalty.admin.access import ReadOnlyAdmin, as_uuid, principal_for, title_of
from loyalty.admin.member_page import SHOWN, member_context
from loyalty.admin.search import find_view
from loyalty.errors import LoyaltyError
from loyalty.http.actors import actors_named
from loyalty.ledger.models import Wallet
from loyalty.members.models import AdjustmentRequest, Member
from loyalty.members.segments import segments_of_member
from loyalty.programs.models import TierLevel
from loyalty.tiers.models import MemberTier


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    """Find a member; everything about them is on their page."""

    empty_words = (
        "Nobody has joined yet. Members come with what tills and shops send, or with a list "
        "that a system enrols."
    )
    list_display = ("title", "named_by", "tier", "available", "status", "enrolled_at")
    list_filter = ("program", ("state__status", ChoicesCheckboxFilter))
    list_filter_submit = True
    list_select_related = ("state", "program")
    ordering = ("-enrolled_at",)
    # Searched by a form that is posted: see loyalty/admin/search.py.
    list_before_template = "admin/loyalty/member/find.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        """Add balance, tier and identifiers to the rows of one page."""
        wallet = Wallet.objects.filter(member_id=OuterRef("pk")).values("available")[:1]
        level = MemberTier.objects.filter(member_id=OuterRef("pk")).values("level")[:1]
        ground = TierLevel.objects.filter(program=OuterRef("program")).order_by("threshold")
        present = Coalesce(Subquery(level), Subquery(ground.values("code")[:1]))
        rows: QuerySet[Member] = super().get_queryset(request)
        named = TierLevel.objects.filter(program=OuterRef("program"), code=OuterRef("level"))
        known = rows.annotate(points=Subquery(wallet), level=present)
        known = known.annotate(tier_name=Coalesce(Subquery(named.values("name")[:1]), "level"))
        return known.prefetch_related("identifiers")

    @display(description="Member")
    def title(self, member: Member) -> str:
        """Name the member as well as is known."""
        return title_of(member)

    @display(description="Known by")
    def named_by(self, member: Member) -> str:
        """List the identifiers."""
        found = [f"{item.type} {item.value}" for item in member.identifiers.all()]
        return ", ".join(found[:2]) + (" …" if len(found) > 2 else "")

    @display(description="Tier", empty_value="–")
    def tier(self, member: Any) -> str | None:
        """Show the level."""
        name: str | None = member.tier_name
        return name

    @display(description="Points")
    def available(self, member: Any) -> str:
        """Show what they can spend, as posted."""
        return f"{member.points or 0:,}"

    @display(description="Status", label=words.STATUS_COLOURS)
    def status(self, member: Any) -> str:
        """Show the status in its colour."""
        status: str = member.state.status
        return status

    def get_urls(self) -> list[URLPattern]:
        """Add the actions' pages. They stand outside of the admin's transaction: the engine
        begins and commits its own."""
        pages = [
            path(
                f"<uuid:member_id>/{name}/",
                self.admin_site.admin_view(view),
                {"page": self},
                name=f"loyalty_member_{name}",
            )
            for name, view in {**member_actions.VIEWS, **person_actions.VIEWS}.items()
        ]
        find = path(
            "find/",
            self.admin_site.admin_view(find_view),
            {"page": self},
            name="loyalty_member_find",
        )
        return [find, *pages, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a member: balance, tier, and one part of the history at a time."""
        member_id = as_uuid(object_id)
        members = Member.objects.select_related("program", "state")
        member = members.filter(pk=member_id).first() if member_id else None
        if member is None:
            raise Http404("There is no such member.")
        if not self.has_view_permission(request, member):
            raise PermissionDenied
        shown = request.GET.get("show", "")
        before = request.GET.get("before", "")
        context = {
            **self.admin_site.each_context(request),
            "title": title_of(member),
            "opts": self.opts,
            "original": member,
            "status_colour": words.STATUS_COLOURS.get(member.state.status, "info"),
            "may_change": request.user.has_perm("loyalty.change_member"),
            "may_erase": request.user.has_perm(person_actions.MAY_ERASE),
            "waiting": _waiting(member),
            "segments": segments_of_member(member.pk),
            "may_adjust": request.user.has_perm(member_actions.MAY_ADJUST),
        }
        try:
            context |= member_context(
                principal_for(request, member.program_id),
                member,
                shown=shown if shown in SHOWN else "statement",
                before=int(before) if before.isdecimal() and len(before) < 19 else None,
            )
        except LoyaltyError as error:
            context["failure"] = error.detail
        return TemplateResponse(request, "admin/loyalty/member/page.html", context)


def _waiting(member: Member) -> list[dict[str, Any]]:
    """List adjustments that wait for a second person, each with the name of the first."""
    rows = AdjustmentRequest.objects.filter(
        member_id=member.pk, state="open", program_id=member.program_id
    ).order_by("-number")[:5]
    named = actors_named(row.requested_by for row in rows)
    return [
        {"pk": row.pk, "points": row.points, "reason": row.reason, "by": named[row.requested_by]}
        for row in rows
    ]
