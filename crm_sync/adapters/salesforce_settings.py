"""How a connection to Salesforce is set up: settings, the first mapping, and what fields may be."""

import re
from collections.abc import Mapping
from typing import Final

from crm_sync.adapters.contract import ConfigRefused, Setting
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.salesforce_documents import KINDS, MEMBER_ID, RESERVED

VERSION: Final = "v64.0"
AUDIENCE: Final = "https://login.salesforce.com"
CALLS_A_DAY: Final = 50_000
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

SETTINGS: Final = (
    Setting(
        name="address",
        label="My Domain",
        help="https://acme.my.salesforce.com",
        is_required=True,
    ),
    Setting(name="client_id", label="Consumer key of the app", is_required=True),
    Setting(
        name="secret",
        label="Consumer secret, or private key",
        help="With a user name below: the RSA private key in PEM, for the JWT bearer flow.",
        is_required=True,
        is_secret=True,
    ),
    Setting(
        name="username",
        label="User name, for the JWT bearer flow",
        help="Empty: the client credentials flow, as the user that the app names.",
    ),
    Setting(name="audience", label="Audience of the assertion", default=AUDIENCE),
    Setting(
        name="object",
        label="Members are",
        default="contact",
        choices=("contact", "lead", "person_account"),
    ),
    Setting(
        name="record_type",
        label="Record type of new ones",
        help="Its id, where the user's default is another one, as with Person Accounts.",
    ),
    Setting(
        name="external_id_field",
        label="Field with another system's id",
        help="Such as Shop_Customer_Id__c, to find members by their external ids. Optional.",
    ),
    Setting(
        name="events",
        label="Events become",
        default="records",
        help="records of Loyalty_Event__c, or fields: only the last one, on the person.",
        choices=("records", "fields"),
    ),
    Setting(
        name="calls_per_day",
        label="Calls a day, at most",
        default=str(CALLS_A_DAY),
        help="Your organisation's quota is shared with everything else that calls it.",
    ),
    Setting(
        name="campaigns",
        label="Take in campaigns as segments",
        default="no",
        choices=("yes", "no"),
    ),
    Setting(name="api_version", label="API version", default=VERSION),
)
DEFAULT_FIELDS: Final = (
    Field("member_id", MEMBER_ID, "text"),
    Field("program", "Loyalty_Program__c", "text"),
    Field("status", "Loyalty_Status__c", "text"),
    Field("enrolled_at", "Loyalty_Enrolled_At__c", "datetime"),
    Field("tier", "Loyalty_Tier__c", "text"),
    Field("tier_since", "Loyalty_Tier_Since__c", "datetime"),
    Field("points_available", "Loyalty_Points_Balance__c", "integer"),
    Field("points_pending", "Loyalty_Points_Pending__c", "integer"),
    Field("points_lifetime", "Loyalty_Lifetime_Points__c", "integer"),
    Field("points_expiring", "Loyalty_Points_Expiring__c", "integer"),
    Field("points_expire_on", "Loyalty_Points_Expire_On__c", "date"),
    Field("last_redeemed_at", "Loyalty_Last_Redemption__c", "datetime"),
    Field("referral_code", "Loyalty_Referral_Code__c", "text"),
    Field("state_version", "Loyalty_State_Version__c", "integer"),
)
FIELD_LIMITS: Final = FieldLimits(
    name_pattern=r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*(__p?c)?",
    name_hint="a field's API name, such as Loyalty_Tier__c",
    name_characters=80,
    text_characters=255,
    fields=100,
    reserved=RESERVED,
)


def refuse_settings(config: Mapping[str, str]) -> None:
    """Refuse settings that cannot be right.

    Raises:
        ConfigRefused: saying which, and what it may be.
    """
    if not config["client_id"]:
        raise ConfigRefused("Consumer key is required.")
    if config["object"] not in KINDS:
        raise ConfigRefused(f"Members are one of {', '.join(KINDS)}.")
    if config["events"] not in ("records", "fields"):
        raise ConfigRefused("Events become records or fields.")
    if not re.fullmatch(r"v[1-9]\d{1,2}\.0", config["api_version"]):
        raise ConfigRefused(f"An API version looks like {VERSION}.")
    if not re.fullmatch(r"[1-9]\d{1,8}", config["calls_per_day"]):
        raise ConfigRefused("Calls a day is a whole number, at least 10.")
    if config["campaigns"] not in ("yes", "no"):
        raise ConfigRefused("Campaigns are taken in: yes or no.")
    if config["external_id_field"] and not _FIELD.fullmatch(config["external_id_field"]):
        raise ConfigRefused("The field with another system's id is one API name.")
