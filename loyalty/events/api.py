"""The ordered event feed over HTTP."""

from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel, ConfigDict, Field

from loyalty.events.answers import EventFeed
from loyalty.events.rules import envelope
from loyalty.events.selectors import list_events
from loyalty.events.services import stamp_events
from loyalty.http.pagination import (
    DEFAULT_LIMIT,
    MAX_CURSOR_LENGTH,
    Limit,
    decode_cursor,
    encode_cursor,
)
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response


class FeedQuery(BaseModel):
    """From where to read on, and how much."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    after: str | None = Field(
        default=None,
        max_length=MAX_CURSOR_LENGTH,
        description="The last `next_cursor`; left out, from the oldest event on.",
    )
    limit: Limit = Field(default=DEFAULT_LIMIT, description="Events of an answer.")


class EventsView(Endpoint):
    """GET /v1/events.

    `next_cursor` is always there: a reader keeps it and comes back with it for what is new.
    """

    scopes = {"GET": ("events",)}

    @operation(
        "list_events",
        "Read the event feed",
        tag="Events",
        query=FeedQuery,
        answers={200: EventFeed},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        feed = self.query(request, FeedQuery)
        scope = f"{self.principal.program_id} events"
        position = decode_cursor(scope, feed.after)[0] if feed.after else 0
        stamp_events()
        events = list_events(
            program_id=self.principal.program_id, after_position=position, limit=feed.limit + 1
        )
        shown = events[: feed.limit]
        if shown:
            position = shown[-1].position
        return json_response(
            {
                "items": [envelope(event) for event in shown],
                "next_cursor": encode_cursor(scope, [position]),
                "has_more": len(events) > feed.limit,
            }
        )
