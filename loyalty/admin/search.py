"""The page that finds a member by what people know of them.

The form is posted: emails, phones and names never stand in an address, which logs and proxies keep.
"""

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from loyalty.admin import words
from loyalty.admin.access import title_of
from loyalty.members.finding import MOST, find_members
from loyalty.members.models import Member


def find_view(request: HttpRequest, page: "ModelAdmin[Member]") -> HttpResponse:
    """Show who was found; go to the page of the only one."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    term = request.POST.get("term", "")
    found = list(
        find_members(term)
        .select_related("state", "program")
        .prefetch_related("identifiers")
        .order_by("last_name", "first_name", "pk")
    )
    if len(found) == 1:
        to = reverse("admin:loyalty_member_change", args=[found[0].pk])
        return HttpResponseRedirect(to)
    context = {
        **page.admin_site.each_context(request),
        "title": "Find a member",
        "opts": page.opts,
        "term": term,
        "most": MOST,
        "found": [
            {
                "member": member,
                "title": title_of(member),
                "known_by": ", ".join(f"{i.type} {i.value}" for i in member.identifiers.all()),
                "colour": words.STATUS_COLOURS.get(member.state.status, "info"),
            }
            for member in found
        ],
    }
    return TemplateResponse(request, "admin/loyalty/member/found.html", context)
