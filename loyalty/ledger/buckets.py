"""Where points of a lot can be. The numbers stand in postings and never change."""

from enum import IntEnum


class Bucket(IntEnum):
    """One place; a posting moves an amount from one of them to another."""

    ISSUED = 0
    PENDING = 1
    AVAILABLE = 2
    HELD = 3
    REDEEMED = 4
    EXPIRED = 5
    REVOKED = 6
    DEBT = 7
    TRANSIT = 8
