"""Who is asking: an API key becomes a principal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """What a key may do: one program, some scopes, some stores.

    Attributes:
        stores: Codes of the stores it may act for; None means all of them.
        source: Where its ledger transactions say they came from.
    """

    key_id: int
    program_id: int
    name: str
    scopes: frozenset[str]
    stores: frozenset[str] | None = None
    source: str = "api"
