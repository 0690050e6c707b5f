"""Vendors' own contracts, where a folder `specs` with them lies beside the project.

Set VENDOR_SPECS to have them elsewhere. Nothing of them is part of the project.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_SPECS = "no folder specs beside the project, and VENDOR_SPECS is not set"


def folder(vendor: str) -> Path:
    """Find a vendor's folder, or skip the test; one that was named has to be there."""
    given = os.environ.get("VENDOR_SPECS")
    places = [Path(given) / vendor] if given else sorted(ROOT.parent.glob(f"*/specs/{vendor}"))
    for place in places:
        if place.is_dir():
            return place
    assert not given, f"VENDOR_SPECS has no folder {vendor}"
    pytest.skip(NO_SPECS)
