"""Every call about webhook endpoints, with a body that works once; nothing leaves this machine."""

from typing import Any

from crm_sync.models import Connection, Relay
from tests.factories import unique

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


def webhook_calls(program_id: int) -> dict[str, tuple[str, str, Any]]:
    """List the calls."""
    endpoint = new_endpoint(program_id)
    create = {"url": SOMEWHERE, "name": unique("hook"), "event_types": ["points.*"]}
    return {
        "list_webhook_endpoints": ("GET", "/v1/webhook-endpoints", None),
        "create_webhook_endpoint": ("POST", "/v1/webhook-endpoints", create),
        "get_webhook_endpoint": ("GET", endpoint, None),
        "change_webhook_endpoint": ("PATCH", endpoint, {"event_types": ["tier.*"]}),
        "remove_webhook_endpoint": ("DELETE", new_endpoint(program_id), None),
        "test_webhook_endpoint": ("POST", f"{endpoint}/test", None),
        "rotate_webhook_secret": ("POST", f"{endpoint}/rotate-secret", {}),
        "list_webhook_deliveries": ("GET", f"{endpoint}/deliveries", None),
        "redeliver_to_webhook": ("POST", f"{endpoint}/redeliver", {"all_dead": True}),
    }
