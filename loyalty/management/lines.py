"""Read the lists that commands take: a file, or what is piped in."""

import sys
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import CommandError


def read_lines(name: str) -> Iterator[str]:
    """Give the lines of a file one by one, since lists may be longer than memory.

    Args:
        name: The file's path, or `-` for standard input.

    Raises:
        CommandError: It cannot be read, or not as text.
    """
    if name == "-":
        yield from sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not text in UTF-8; what came before is loaded.") from None
