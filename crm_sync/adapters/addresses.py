"""Which addresses a destination may have: public ones only.

A URL is written by a person who is not us, and its name is resolved by a server that is not ours,
differently each time if it likes. So names are resolved here, every address is judged, and the
connection is made to the very address that was judged (crm_sync/adapters/transport.py).
"""

import ipaddress
import queue
import socket
import threading

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Not public, and not known as such to every Python that we run on.
_REFUSED = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers, and by clouds for their metadata
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo, ORCHID and others that lead elsewhere
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address
        "3fff::/20",
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class AddressRefused(Exception):
    """The name leads to an address that is not public."""


class NameNotResolved(Exception):
    """The name leads nowhere, at least now."""


def is_public(address: Address) -> bool:
    """Say whether an address lies on the public internet, whatever form it hides in."""
    inner = _embedded_ipv4(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def resolve(host: str, port: int, *, seconds: float, allow_private: bool = False) -> list[str]:
    """Resolve a name and return its addresses, in the order in which they should be tried.

    Raises:
        AddressRefused: If any of them is not public: a name that leads outside and inside is a
            trick or a mistake, and both are refused.
        NameNotResolved: If there is none, or the answer takes longer than `seconds`.
    """
    found = _look_up(host, port, seconds)
    if not allow_private:
        for address in found:
            if not is_public(_parse(address)):
                raise AddressRefused(f"{host} leads to {address}, which is not a public address.")
    return found


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    # The system's resolver knows no deadline; a thread that it keeps waiting is left behind.
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="resolve").start()
    try:
        answer = answers.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise NameNotResolved(f"The name {host} was not resolved in time.") from None
    if isinstance(answer, Exception) or not answer:
        raise NameNotResolved(f"The name {host} cannot be resolved.")
    return answer


def _parse(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
