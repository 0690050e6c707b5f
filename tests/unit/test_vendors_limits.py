"""No vendor is called more often than it takes: a rest's burst and the calls after it add up."""

import math

import pytest

from crm_sync.adapters import (
    attentive,
    hubspot,
    klaviyo,
    marketing_cloud,
    omnisend,
    postscript,
    segment,
)
from crm_sync.adapters.access import Limit
from crm_sync.adapters.salesforce_api import limit_of_day

# What the pages in docs/crm/ name, of each the vendor's calls in so many seconds.
TAKEN = [
    (attentive.ATTRIBUTES, [(150, 1)]),
    (attentive.EVENTS, [(150, 1)]),
    (attentive.BULK, [(100, 1)]),
    (hubspot.CALLS, [(100, 10)]),
    (hubspot.SEARCHES, [(4, 1)]),
    (klaviyo.WRITES, [(75, 1), (750, 60)]),
    (klaviyo.READS, [(75, 1), (700, 60)]),
    (klaviyo.EVENTS, [(350, 1), (3500, 60)]),
    (klaviyo.BULK, [(10, 1), (150, 60)]),
    (omnisend.CONTACTS, [(400, 60)]),
    (omnisend.EVENTS, [(400, 60)]),
    (omnisend.BATCHES, [(400, 60)]),
    (postscript.CALLS, [(15, 1)]),
    (marketing_cloud.CALLS, [(1_200, 60)]),
    (segment.CALLS, [(500, 1)]),
    (limit_of_day({"calls_per_day": "50000"}), [(50_000, 86_400)]),
    (limit_of_day({"calls_per_day": "1"}), [(1, 86_400)]),
]


@pytest.mark.parametrize(("limit", "windows"), TAKEN)
def test_what_a_vendor_takes_is_more_than_it_ever_gets(
    limit: Limit, windows: list[tuple[int, int]]
) -> None:
    for most, seconds in windows:
        evenly = math.ceil(seconds * limit.calls / limit.seconds)
        assert limit.burst - 1 + evenly <= most, f"{limit.name}: in {seconds} s"
