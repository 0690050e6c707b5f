"""Programs as marketers apply them."""

import pytest

from loyalty.programs import files, services
from loyalty.programs.models import Program
from tests.unit.program_file import GROCER


@pytest.fixture
def grocer(db: None) -> Program:
    """Return the program of the documentation, published as version 1."""
    return services.apply_document(files.read(GROCER), actor="tests")
