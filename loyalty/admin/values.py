"""Values that orders and the program have, offered where a rule's conditions are written."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404

from loyalty.members.models import Segment
from loyalty.programs.models import Program

PATIENCE = "1s"
MOST = 30
"""Offered of each; more than that nobody looks through."""

# The newest orders say what tills send; a look through all of them would take minutes.
_SEEN = """
WITH newest AS (
    SELECT lines, channel FROM loyalty_order WHERE program_id = %s ORDER BY id DESC LIMIT 500
), seen AS (
    SELECT 'category' AS name, line->>'category' AS value
    FROM newest, json_array_elements(lines) AS line
    UNION ALL SELECT 'brand', line->>'brand' FROM newest, json_array_elements(lines) AS line
    UNION ALL SELECT 'channel', channel FROM newest
)
SELECT name, value FROM seen WHERE value <> '' GROUP BY name, value ORDER BY count(*) DESC, value
"""


def values_view(request: HttpRequest, program_id: int) -> HttpResponse:
    """Answer what can be offered for each condition, and the currency of amounts."""
    if not request.user.has_perm("loyalty.view_earningrule"):
        raise PermissionDenied
    program = get_object_or_404(Program, pk=program_id)
    stores = program.stores.values_list("code", flat=True)[:MOST]
    rows = Segment.objects.filter(program_id=program.pk)
    segments = list(rows.values_list("code", flat=True)[:MOST])
    offered: dict[str, Any] = {"store": list(stores), **_seen(program.pk)}
    offered |= {"segment": segments, "not_in_segment": segments}
    return JsonResponse({"currency": program.currency, "values": offered})


def _seen(program_id: int) -> dict[str, list[str]]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
            cursor.execute(_SEEN, [program_id])
            rows = cursor.fetchall()
    except OperationalError:
        return {}
    found: dict[str, list[str]] = {"category": [], "brand": [], "channel": []}
    for name, value in rows:
        if len(found[name]) < MOST:
            found[name].append(value)
    return found
