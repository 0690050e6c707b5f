"""Amounts as text and as minor units, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.programs.currencies import SCALES, format_amount, parse_amount


@pytest.mark.parametrize(
    ("minor", "scale", "text"),
    [
        (386, 2, "3.86"),
        (0, 2, "0.00"),
        (-5, 2, "-0.05"),
        (-386, 2, "-3.86"),
        (386, 0, "386"),
        (5, 3, "0.005"),
        (10**12, 2, "10000000000.00"),
    ],
)
def test_writes_and_reads_minor_units(minor: int, scale: int, text: str) -> None:
    assert format_amount(minor, scale) == text
    assert parse_amount(text, scale) == minor


@pytest.mark.parametrize(("text", "minor"), [("1", 100), ("1.5", 150), ("1.5000", 150), (".5", 50)])
def test_reads_fewer_and_empty_decimals(text: str, minor: int) -> None:
    assert parse_amount(text, 2) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "1.005",
        "1e3",
        "NaN",
        "Infinity",
        "\uff11\uff12",
        "1,00",
        " 1",
        "+1",
        "1_0",
        "--1",
        "1.2.3",
    ],
)
def test_scenario_36_refuses_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals"):
        parse_amount(text, 2)


def test_refuses_what_is_too_large() -> None:
    with pytest.raises(ValueError, match="too large"):
        parse_amount("10000000000.01", 2)


@given(minor=st.integers(-(10**12), 10**12), scale=st.sampled_from([0, 2, 3, 4]))
def test_what_is_written_is_read_back(minor: int, scale: int) -> None:
    assert parse_amount(format_amount(minor, scale), scale) == minor


def test_scales() -> None:
    assert [SCALES[code] for code in ("USD", "EUR", "JPY", "KWD", "CLF")] == [2, 2, 0, 3, 4]
    assert all(len(code) == 3 and code.isupper() for code in SCALES)
