"""The kinds of destination that there are; a new one is one file here and one line below."""

from crm_sync.adapters.attentive import AttentiveAdapter
from crm_sync.adapters.console import ConsoleAdapter
from crm_sync.adapters.contract import Adapter, Environment
from crm_sync.adapters.hubspot import HubSpotAdapter
from crm_sync.adapters.klaviyo import KlaviyoAdapter
from crm_sync.adapters.marketing_cloud import MarketingCloudAdapter
from crm_sync.adapters.omnisend import OmnisendAdapter
from crm_sync.adapters.postscript import PostscriptAdapter
from crm_sync.adapters.salesforce import SalesforceAdapter
from crm_sync.adapters.segment import SegmentAdapter
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.adapters.webhook import WebhookAdapter


def build_adapters(environment: Environment) -> dict[str, Adapter]:
    """Make one adapter of each kind, by the name that connections give."""
    return {
        "webhook": WebhookAdapter(environment),
        "klaviyo": KlaviyoAdapter(environment),
        "shopify": ShopifyAdapter(environment),
        "hubspot": HubSpotAdapter(environment),
        "segment": SegmentAdapter(environment),
        "omnisend": OmnisendAdapter(environment),
        "postscript": PostscriptAdapter(environment),
        "attentive": AttentiveAdapter(environment),
        "salesforce": SalesforceAdapter(environment),
        "marketing_cloud": MarketingCloudAdapter(environment),
        "console": ConsoleAdapter(environment),
    }
