"""One view, one statement, five writes."""

import hashlib

import orjson
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

KEY = "floor-key"

EARN = "SELECT floor_earn(%s::text, %s::bytea, %s::text, %s::text, %s::bigint, %s::jsonb)::text"


def earn(request: HttpRequest) -> HttpResponse:
    """POST /v1/earn."""
    if request.META["HTTP_AUTHORIZATION"] != f"Bearer {KEY}":
        return HttpResponse(status=401)
    raw = request.body
    body = orjson.loads(raw)
    order = body["order"]
    points = sum(int(line["amount"].replace(".", "")) for line in order["lines"]) // 100
    with connection.cursor() as cursor:
        cursor.execute(
            EARN,
            [
                request.META["HTTP_IDEMPOTENCY_KEY"],
                hashlib.sha256(raw).digest(),
                body["member"].removeprefix("card:"),
                order["ref"],
                points,
                orjson.dumps([{"rule": "base", "points": points}]).decode(),
            ],
        )
        row = cursor.fetchone()
    answer = HttpResponse(row[0], status=201, content_type="application/json")
    answer.headers["Content-Length"] = str(len(answer.content))
    return answer


urlpatterns = [path("v1/earn", earn)]
