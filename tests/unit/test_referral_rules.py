"""Referral codes, who counts as oneself, and which order may convert a referral."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.referrals.rules import (
    ALPHABET,
    CODE_LENGTH,
    Bought,
    Referral,
    draw_code,
    is_oneself,
    mailbox_of,
    may_convert,
    normalise_code,
)

ADA, BEN, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
JOINED = datetime(2027, 1, 15, 12, tzinfo=UTC)
REFERRAL = Referral(BEN, ADA, ADA, "open", JOINED, JOINED)
BOUGHT = Bought("store:309", "o1", JOINED, date(2027, 1, 15), 7, "309", "", 2000)


@given(st.integers())
def test_a_code_is_its_own_normal_form_however_it_is_typed(seed: int):
    code = draw_code(random.Random(seed).choice)
    assert len(code) == CODE_LENGTH
    assert set(code) <= set(ALPHABET)
    spelt = f" {code[:3].lower()}-{code[3:5]}_{code[5:].lower()} "
    assert normalise_code(code) == normalise_code(spelt) == code


@pytest.mark.parametrize("typed", ["", " - ", "K7QM2XP0", "\x00", "ÄÖÜ", "\ud800"])
def test_what_cannot_be_a_code_is_nobodys(typed: str):
    assert normalise_code(typed) == "?"


@pytest.mark.parametrize(
    ("email", "mailbox"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada+shop@Example.com", "ada@example.com"),
        ("a.d.a+x+y@googlemail.com", "ada@gmail.com"),
        ("a.d.a@example.com", "a.d.a@example.com"),
        ("+x@example.com", "+x@example.com"),
    ],
)
def test_tags_lead_to_the_same_mailbox(email: str, mailbox: str):
    assert mailbox_of(email) == mailbox


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        ([("email", "ada+1@example.com")], [("email", "ada@example.com")], True),
        ([("phone", "+4930123")], [("phone", "+4930123")], True),
        ([("card", "1")], [("card", "1")], False),  # cards are unique anyway
        ([("card", "1"), ("email", "b@example.com")], [("email", "a@example.com")], False),
        ([], [], False),
    ],
)
def test_one_mailbox_or_phone_is_one_person(
    mine: list[tuple[str, str]], theirs: list[tuple[str, str]], same: bool
):
    assert is_oneself(mine, theirs) is is_oneself(theirs, mine) is same


DAY_BEFORE = date(2027, 1, 14)


@pytest.mark.parametrize(
    ("referral", "bought", "friend", "may"),
    [
        ({}, {}, BEN, True),
        ({}, {}, OTHER, True),  # merged into somebody who joined later
        ({"state": "converted"}, {}, BEN, False),
        ({"state": "reversed"}, {}, BEN, False),
        ({}, {"net": 0}, BEN, False),
        ({}, {"day": DAY_BEFORE}, BEN, False),
        ({"present_referrer": BEN}, {}, BEN, False),
        ({"known_since": JOINED - timedelta(days=1)}, {}, OTHER, False),
    ],
)
def test_which_order_may_convert(
    referral: dict[str, object], bought: dict[str, object], friend: UUID, may: bool
):
    found = may_convert(
        replace(REFERRAL, **referral),  # type: ignore[arg-type]
        friend=friend,
        joined_on=date(2027, 1, 15),
        bought=replace(BOUGHT, **bought),  # type: ignore[arg-type]
    )
    assert found is may
