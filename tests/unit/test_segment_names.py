"""What of a program names a segment."""

import pytest

from loyalty.programs.segments import naming

VIP = {"segment": ["vip"]}
TODAY = "2027-03-01"


@pytest.mark.parametrize(
    ("document", "named_by"),
    [
        ({}, []),
        ({"earning_rules": [{"code": "a", "when": VIP}]}, ["earning rule a"]),
        ({"earning_rules": [{"code": "a", "when": {"not_in_segment": ["x", "vip"]}}]},
         ["earning rule a"]),
        ({"earning_rules": [{"code": "a", "when": {"segment": ["x"]}}, {"code": "b"}]}, []),
        ({"earning_rules": [{"code": "off", "when": VIP, "active": False}]}, []),
        ({"earning_rules": [{"code": "over", "when": VIP, "to": "2027-02-28"}]}, []),
        ({"earning_rules": [{"code": "last", "when": VIP, "to": TODAY}]}, ["earning rule last"]),
        ({"earning_rules": [{"code": "soon", "when": VIP, "from": "2028-01-01"}]},
         ["earning rule soon"]),
        ({"campaigns": [{"code": "c", "rules": [{"code": "r", "when": VIP}]}]},
         ["rule r of campaign c"]),
        ({"campaigns": [{"code": "c", "to": "2027-02-28", "rules": [{"code": "r", "when": VIP}]}]},
         []),
        ({"rewards": [{"code": "m", "segments": ["vip"]}, {"code": "n", "not_in_segments": ["vip"]},
                      {"code": "o"}]}, ["reward m", "reward n"]),
    ],
)  # fmt: skip
def test_who_names_it(document: dict, named_by: list[str]):
    assert naming(document, "vip", today=TODAY) == named_by
