"""Random merges, partings and erasures: whatever happens, everything adds up."""

import os
import secrets

import pytest

from tests.factories import Clock, install_clock
from tests.property.people import People

OPERATIONS = int(os.environ.get("LOYALTY_OPERATIONS", "200"))
SEED = int(os.environ.get("LOYALTY_SEED") or secrets.randbelow(10**9))


@pytest.mark.parametrize("number", range(2))
def test_who_turns_out_to_be_one_loses_and_gains_nothing(number: int, clock: Clock):
    """Scenario 34: merges that are taken back or not, among all else that tills and support do."""
    install_clock()
    people = People(SEED + number, clock)
    try:
        people.run(OPERATIONS)
    except AssertionError as found:
        pytest.fail(f"LOYALTY_SEED={SEED} repeats this, in round {number}.\n{found}", pytrace=False)
    print(f"seed {SEED + number}: {people.policy}; {dict(sorted(people.counts.items()))}")
    assert people.counts["merge 200"] > OPERATIONS / 100
