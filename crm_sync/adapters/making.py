"""What a vendor is told of the addresses of people who are made there."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class TellsOneAddress(Protocol):
    """A destination that makes people with their email or else their phone number, not both."""

    tells_one_address: bool
