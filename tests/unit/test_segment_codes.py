"""A vendor's segments become ours: no two of them one, each always the same."""

import re

import pytest

from crm_sync.inbound.people import Origin


def origin(name: str) -> Origin:
    return Origin(program_id=1, name=name, said_by=f"connection:{name}")


@pytest.mark.parametrize(
    ("origin_name", "name", "code"),
    [
        ("Klaviyo", "VIP", "klaviyo.vip"),
        ("Segment", "big_spenders", "segment.big-spenders"),
        ("Shop 2", "Summer Sale 2026", "shop-2.summer-sale-2026"),
    ],
)
def test_plain_names_read_as_they_are(origin_name: str, name: str, code: str) -> None:
    assert origin(origin_name).segment_code(name) == code


def test_no_two_names_of_a_vendor_are_one() -> None:
    names = [
        *("VIP", "夏のVIP", "冬のVIP", "常連", "冬", "VIP+", "VIP!", "V.I.P", "Café", "Cafè", ""),
        *(f"{'Everybody who bought something in the year ' * 2}{n}" for n in (1, 2)),
        *("segment", "-", "--", " VIP", "VIP  2", "VIP 2", "vip-", "x" * 50, "x" * 51),
    ]
    codes = {origin("Klaviyo").segment_code(name) for name in names}
    assert len(codes) == len(names)
    assert all(re.fullmatch(r"klaviyo\.[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)
    assert max(map(len, codes)) == 50


def test_no_two_vendors_are_one() -> None:
    names = [
        *("Omnisend production EU", "Omnisend production US", "Shop A", "Shop A+", "店", "商店"),
        *("x" * 20, "x" * 21, "x" * 100, "", "segment"),
    ]
    prefixes = [origin(name).prefix for name in names]
    assert len(set(prefixes)) == len(names)
    assert all(len(prefix) <= 21 and prefix.count(".") == 1 for prefix in prefixes)
    for mine in prefixes:
        assert sum(other.startswith(mine) for other in prefixes) == 1
    longest = max(len(origin(name).segment_code("冬" * 200)) for name in names)
    assert longest <= 50
