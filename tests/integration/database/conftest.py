"""Tests here commit what they do; see tests/factories.py."""

from tests.factories import clock, committed

__all__ = ["clock", "committed"]
