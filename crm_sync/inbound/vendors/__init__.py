"""The kinds of source that there are; a new one is one file here and one line below."""

from typing import Final

from crm_sync.inbound.contract import Kind
from crm_sync.inbound.vendors.attentive import AttentiveSource
from crm_sync.inbound.vendors.generic import BearerSource, StandardSource
from crm_sync.inbound.vendors.hubspot import HubSpotSource
from crm_sync.inbound.vendors.klaviyo import KlaviyoSource
from crm_sync.inbound.vendors.segment import SegmentSource
from crm_sync.inbound.vendors.shopify import ShopifySource

KINDS: Final[dict[str, Kind]] = {
    "shopify": ShopifySource(),
    "hubspot": HubSpotSource(),
    "klaviyo": KlaviyoSource(),
    "segment": SegmentSource(),
    "attentive": AttentiveSource(),
    "standard": StandardSource(),
    "bearer": BearerSource(),
}
