"""Random commands against a reference, invariants after every step."""

import os
import secrets

import pytest

from tests.factories import Clock, install_clock
from tests.property.machine import Deviation, Machine

OPERATIONS = int(os.environ.get("LOYALTY_OPERATIONS", "3350"))
SEED = int(os.environ.get("LOYALTY_SEED") or secrets.randbelow(10**9))


@pytest.mark.parametrize("clawback", ["debt", "within_balance", "write_off"])
@pytest.mark.parametrize("lapsed", ["expire", "grace"])
def test_engine_does_what_the_reference_does(clawback: str, lapsed: str, clock: Clock):
    """Scenarios 3, 7, 25, 27, 29: any order of commands, keys repeated, time passing."""
    install_clock()
    machine = Machine(SEED, clawback, lapsed, make_clock=Clock)
    try:
        machine.run(OPERATIONS)
    except Deviation as found:
        pytest.fail(f"LOYALTY_SEED={SEED} repeats this.\n{found}", pytrace=False)
    print(f"seed {SEED}: {machine.operations} operations; {dict(sorted(machine.counts.items()))}")
    print(f"levels by night: {dict(machine.shop.nights)}")
    refused = sum(n for name, n in machine.counts.items() if not name[-1].isdigit())
    assert refused > machine.operations / 50
