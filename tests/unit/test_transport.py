"""What goes over the wire: a request in one piece, answered whatever became of sending it."""

import time
from typing import Any

import httpcore
import pytest

from crm_sync.adapters import transport


class Wire(httpcore.NetworkStream):
    """Another end that takes what it is sent, or has hung up after its answer."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self.sent: list[bytes] = []
        self.is_closed = is_closed

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self.is_closed:
            raise httpcore.WriteError("broken pipe")
        self.sent.append(buffer)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"answer"

    def get_extra_info(self, info: str) -> Any:
        return None


def talk(wire: Wire, *parts: bytes) -> bytes:
    transport._moment.set(time.monotonic())
    stream = transport._Stream(wire)
    transport._moment.set(0)
    with transport.deadline(5):
        for part in parts:
            stream.write(part)
        return stream.read(100)


def test_head_and_body_are_sent_together() -> None:
    wire = Wire()
    assert talk(wire, b"head", b"body") == b"answer"
    assert wire.sent == [b"headbody"]


def test_what_is_long_is_not_gathered_whole() -> None:
    wire, long = Wire(), b"x" * transport._AT_ONCE_BYTES
    talk(wire, b"head", long, b"rest")
    assert wire.sent == [b"head" + long, b"rest"]


def test_who_answers_and_hangs_up_before_reading_all_is_heard() -> None:
    assert talk(Wire(is_closed=True), b"head", b"body") == b"answer"


def test_nothing_has_arrived_when_the_deadline_passes_before_it_is_sent() -> None:
    transport._is_begun.set(False)
    stream = transport._Stream(Wire())
    with transport.deadline(0), pytest.raises(httpcore.ConnectTimeout):
        stream.write(b"head")
        stream.read(100)
