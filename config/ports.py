"""Ports that a server can listen on, now and at the next start."""

import random
import socket

from config.home import StartError

# Below the ports that the system gives to outgoing connections: one of those could take ours.
_PORTS = range(15_000, 32_767)


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """Return the preferred port if it is free, otherwise another one."""
    for port in [preferred, *random.sample(_PORTS, 200)]:
        if port and port_is_free(port, host):
            return port
    raise StartError(f"No free port was found between {_PORTS.start} and {_PORTS.stop}.")


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
