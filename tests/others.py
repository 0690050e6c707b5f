"""What other tests left, out of the way of one that goes through all programs."""

from collections.abc import Iterator

import pytest
from django.db.models import F

from loyalty.programs.models import Program


@pytest.fixture
def others_closed(committed: None) -> Iterator[None]:
    """Let programs that are there already be unpublished until the test ends.

    A worker has some hundred of them by then, and a night in each takes minutes.
    """
    Program.objects.update(version=-F("version"))
    yield
    Program.objects.filter(version__lt=0).update(version=-F("version"))
