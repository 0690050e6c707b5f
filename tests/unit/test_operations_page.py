"""docs/operations.md has every setting that the environment may set."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = re.compile(
    r"env\.(?:text|integer|number|switch|words|secret|choice|fernet_keys|hosts|origins)\(\s*[\"']([A-Z_]+)[\"']"
)
SET_BY_OURSELVES = {"LOYALTY_PROCESS"}


def test_every_setting_is_explained():
    found = {
        name for file in (ROOT / "config").glob("*.py") for name in READ.findall(file.read_text())
    }
    page = (ROOT / "docs" / "operations.md").read_text()
    missing = {name for name in found - SET_BY_OURSELVES if f"`{name}`" not in page}
    assert found > {"PORT", "HTTPS"}
    assert not missing, f"add to the table of settings: {sorted(missing)}"
