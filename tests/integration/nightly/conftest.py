"""Tests here commit what they do; see tests/factories.py."""

from tests.factories import clock, committed
from tests.others import others_closed

__all__ = ["clock", "committed", "others_closed"]
