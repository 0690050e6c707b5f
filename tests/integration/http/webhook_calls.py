"""Every call about webhook endpoints, with a body that works once; nothing leaves this machine."""

from collections.abc import Callable
from typing import Any

from crm_sync.models import Connection, Relay
from tests.factories import unique
from tests.integration.http.configuration_calls import Call

# An address that needs no resolver; and one that is refused at connect, so that a test event is
# answered at once.
SOMEWHERE = "https://93.184.215.14/hook"
REFUSED = "https://127.0.0.1/hook"

WEBHOOK_KEYED = ("create_webhook_endpoint", "rotate_webhook_secret", "redeliver_to_webhook")
WEBHOOK_CALLS = (
    *WEBHOOK_KEYED,
    "list_webhook_endpoints",
    "get_webhook_endpoint",
    "change_webhook_endpoint",
    "remove_webhook_endpoint",
    "test_webhook_endpoint",
    "list_webhook_deliveries",
)


def new_endpoint(program_id: int) -> str:
    """Make an endpoint; return its address in the API."""
    made = Connection.objects.create(
        program_id=program_id,
        name=unique("hook"),
        adapter="webhook",
        config={"url": REFUSED},
        is_enabled=False,
    )
    Relay.objects.create(connection=made)
    return f"/v1/webhook-endpoints/whe_{made.key_id.hex}"


def webhook_calls(program_id: int) -> dict[str, Callable[[], Call]]:
    """List the calls; each makes the endpoint that it is about when it is asked for."""
    create = {"url": SOMEWHERE, "name": unique("hook"), "event_types": ["points.*"]}

    def of_one(method: str, path: str = "", body: Any = None) -> Callable[[], Call]:
        return lambda: (method, f"{new_endpoint(program_id)}{path}", body)

    def of_all() -> Call:
        return "GET", new_endpoint(program_id).rpartition("/")[0], None

    return {
        "list_webhook_endpoints": of_all,
        "create_webhook_endpoint": lambda: ("POST", "/v1/webhook-endpoints", create),
        "get_webhook_endpoint": of_one("GET"),
        "change_webhook_endpoint": of_one("PATCH", "", {"event_types": ["tier.*"]}),
        "remove_webhook_endpoint": of_one("DELETE"),
        "test_webhook_endpoint": of_one("POST", "/test"),
        "rotate_webhook_secret": of_one("POST", "/rotate-secret", {}),
        "list_webhook_deliveries": of_one("GET", "/deliveries"),
        "redeliver_to_webhook": of_one("POST", "/redeliver", {"all_dead": True}),
    }
