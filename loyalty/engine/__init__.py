"""Runs a command: load, decide, write (docs/decisions/0001)."""
