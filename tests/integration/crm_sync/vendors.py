"""Every vendor with its sandbox, for the tests that hold for all of them.

A new vendor is one line in VENDORS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sync.adapters.access import Target
from crm_sync.adapters.klaviyo import REVISION, KlaviyoAdapter
from crm_sync.adapters.omnisend import VERSION, OmnisendAdapter
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.omnisend import Omnisend
from crm_sync.sandboxes.server import Person as Shown
from tests.integration.crm_sync.calls import environment, target


@dataclass(frozen=True)
class Vendor:
    """One vendor.

    Attributes:
        adapter: Its class.
        sandbox: Its class.
        secrets: By name; where the sandbox knows them, they are its own.
        config: Beside the address.
        member_field: The field that carries our member id.
        notices_repeats: Whether a repeated event is one event there.
        takes_old_events: Whether events of a backfill are sent.
    """

    name: str
    adapter: Callable[..., Any]
    sandbox: Callable[[], Any]
    secrets: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    member_field: str = "loyalty_member_id"
    points_field: str = "loyalty_points_balance"
    notices_repeats: bool = True
    takes_old_events: bool = True

    def open_adapter(self) -> Any:
        return self.adapter(environment(total=2.0))

    def target(self, sandbox: Any, **secrets: str) -> Target:
        return target(self.address(sandbox), **{**self.secrets, **secrets})

    def address(self, sandbox: Any) -> dict[str, Any]:
        return {"address": sandbox.url, **self.config}

    def shown(self, sandbox: Any, member_id: str) -> Shown | None:
        """Find a member as the sandbox's page shows them."""
        people = sandbox.people()
        return next((one for one in people if one.fields.get(self.member_field) == member_id), None)


VENDORS = (
    Vendor("klaviyo", KlaviyoAdapter, Klaviyo, {"api_key": "pk_sandbox"}, {"revision": REVISION}),
    Vendor(
        "omnisend",
        OmnisendAdapter,
        Omnisend,
        {"api_key": "omni_sandbox"},
        {"version": VERSION},
        member_field="loyaltyMemberId",
        points_field="loyaltyPointsBalance",
        notices_repeats=False,
        takes_old_events=False,
    ),
)
