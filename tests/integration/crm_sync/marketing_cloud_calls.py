"""A connection to our sandbox of Marketing Cloud, for its tests."""

from crm_sync.adapters.access import Target
from crm_sync.adapters.marketing_cloud import LOGIN_VERSION, VERSION
from crm_sync.sandboxes.marketing_cloud import MarketingCloud
from tests.integration.crm_sync.calls import target


def connect(sandbox: MarketingCloud, **config: str) -> Target:
    settings = {
        "subdomain": sandbox.url,
        "client_id": sandbox.client_id,
        "account_id": "",
        "contact_key": "member_id",
        "members_key": "Loyalty_Members",
        "events_key": "Loyalty_Events",
        "journey_key": "",
        "journey_events": "points.expiring, tier.*",
        "api_version": VERSION,
        "login_version": LOGIN_VERSION,
    }
    return target({**settings, **config}, client_secret=sandbox.client_secret)
