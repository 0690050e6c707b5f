"""By which emails and phone numbers somebody is known at a vendor, as hashes. Pure.

To a vendor, whoever has such an address is the person whom it knows by it.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

Addresses = dict[str, list[str]]  # hashes by type

TYPES: Final = ("email", "phone")


def hash_address(type_: str, value: str) -> str:
    """Hash one address, so that what a member has no more is not kept of them."""
    return hashlib.sha256(f"{type_}:{value}".encode()).hexdigest()


def hash_addresses(named: Mapping[str, str]) -> Addresses:
    """Hash the addresses that there are; those that are empty are left out."""
    return {type_: [hash_address(type_, value)] for type_, value in named.items() if value}


def join(known: Addresses, more: Addresses) -> Addresses:
    """Add addresses to those that somebody is known by."""
    types = [type_ for type_ in TYPES if type_ in known or type_ in more]
    return {
        type_: list(dict.fromkeys([*known.get(type_, ()), *more.get(type_, ())])) for type_ in types
    }
