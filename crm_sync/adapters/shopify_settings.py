"""How a connection to Shopify is set up: settings, the first mapping, and what fields may be."""

import re
from collections.abc import Mapping
from typing import Final

from crm_sync.adapters import shopify_credit
from crm_sync.adapters.contract import ConfigRefused, Setting
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.shopify_changes import THEIR_HINT, THEIR_PATTERN
from crm_sync.adapters.shopify_documents import MEMBER_ID

VERSION: Final = "2026-10"
NAMESPACE: Final = "$app:loyalty"
POINTS_PER_SECOND: Final = "100"  # the smallest plan's

SETTINGS: Final = (
    Setting(
        name="address",
        label="Address of the shop",
        help="https://….myshopify.com, not the shop's own domain.",
        is_required=True,
    ),
    Setting(
        name="client_id",
        label="Client id",
        help="Of the app, for tokens that end after a day. Empty: the access token below.",
    ),
    Setting(name="client_secret", label="Client secret", is_secret=True),
    Setting(
        name="access_token",
        label="Access token",
        help="shpat_…, of a custom app, with read_customers and write_customers.",
        is_secret=True,
    ),
    Setting(name="api_version", label="API version", default=VERSION),
    Setting(
        name="namespace",
        label="Namespace of the metafields",
        help="$app:… belongs to the app; others can be written by everybody.",
        default=NAMESPACE,
    ),
    Setting(
        name="points_per_second",
        label="Query points a second",
        help="As the shop's plan has them: 100, 200, 1000 or 2000.",
        default=POINTS_PER_SECOND,
    ),
    Setting(
        name="store_credit",
        label="Book rewards of store credit",
        help="Needs read_ and write_store_credit_account_transactions.",
        default="no",
        choices=("yes", "no"),
    ),
)
DEFAULT_FIELDS: Final = (
    Field("member_id", MEMBER_ID, "text"),
    Field("program", "program", "text"),
    Field("status", "status", "text"),
    Field("enrolled_at", "enrolled_at", "datetime"),
    Field("tier", "tier", "text"),
    Field("tier_since", "tier_since", "datetime"),
    Field("points_available", "points_balance", "integer"),
    Field("points_pending", "points_pending", "integer"),
    Field("points_lifetime", "lifetime_points", "integer"),
    Field("points_expiring", "points_expiring", "integer"),
    Field("points_expire_on", "points_expire_on", "date"),
    Field("last_redeemed_at", "last_redemption_at", "datetime"),
    Field("referral_code", "referral_code", "text"),
    Field("state_version", "state_version", "integer"),
)
FIELD_LIMITS: Final = FieldLimits(
    name_pattern=r"[A-Za-z0-9_-]{2,64}",
    name_hint="2 to 64 letters, digits and _ -",
    name_characters=64,
    text_characters=5_000,
    fields=25,  # what metafieldsSet writes at once, all or nothing
    reserved=frozenset({"last_event", shopify_credit.BOOK}),
    their_pattern=THEIR_PATTERN,
    their_hint=THEIR_HINT,
)

_PATTERNS: Final = {
    "api_version": (r"\d{4}-\d{2}", f"a version like {VERSION}"),
    "namespace": (r"(\$app(:[A-Za-z0-9_-]{1,64})?|[A-Za-z0-9_-]{3,64})", "like $app:loyalty"),
    "points_per_second": (r"[1-9]\d{1,4}", "a number, as the shop's plan has it"),
    "store_credit": (r"yes|no", "yes or no"),
}


def refuse_settings(config: Mapping[str, str]) -> None:
    """Refuse settings that cannot be right.

    Raises:
        ConfigRefused: saying which, and what it may be.
    """
    for name, (pattern, hint) in _PATTERNS.items():
        if re.fullmatch(pattern, config[name]) is None:
            raise ConfigRefused(f"{name} is {hint}.")
