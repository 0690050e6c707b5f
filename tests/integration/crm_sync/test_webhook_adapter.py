"""The webhook adapter against receivers that are friendly, hostile, or not there."""

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

import pytest
import time_machine
from standardwebhooks import Webhook, WebhookVerificationError

from crm_sync.adapters import transport
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable
from tests.integration.crm_sync.calls import OLD_SECRET, SECRET, adapter, outgoing, send, signed
from tests.integration.crm_sync.receivers import Answer, RawServer, Receiver

SECONDS = 60  # for which who is hostile goes on, and nobody waits


class TestSigning:
    """Scenario 49."""

    def test_the_standard_library_accepts_the_signature(self, receiver: Receiver) -> None:
        delivery = outgoing(data={"name": "Zoë ☕", "n": 1})
        adapter().send(signed(receiver.url), [delivery])
        call = receiver.calls[0]
        assert Webhook(SECRET).verify(call.body, call.headers) == dict(delivery.body)
        assert call.headers["webhook-id"] == "evt_1"
        assert call.headers["x-correlation-id"] == delivery.correlation_id.hex

    @pytest.mark.parametrize("cause", [{}, {"cause": {"kind": "expire"}}])
    def test_what_no_request_caused_names_none(
        self, receiver: Receiver, cause: dict[str, Any]
    ) -> None:
        adapter().send(signed(receiver.url), [outgoing(**cause)])
        assert "x-request-id" not in receiver.calls[0].headers

    def test_both_secrets_verify_during_a_rotation(self, receiver: Receiver) -> None:
        deliveries = [outgoing(id=f"evt_{n}") for n in range(500)]
        outcomes = adapter().send(signed(receiver.url, [SECRET, OLD_SECRET]), deliveries)
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        for call in receiver.calls:
            for secret in (SECRET, OLD_SECRET):
                Webhook(secret).verify(call.body, call.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + "C" * 43 + "=").verify(call.body, call.headers)

    def test_a_body_that_was_written_anew_is_not_accepted(self, receiver: Receiver) -> None:
        send(receiver.url)
        call = receiver.calls[0]
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(call.body.replace(b":", b": "), call.headers)

    @pytest.mark.parametrize("minutes", [-4, 4])
    def test_a_receiver_whose_clock_is_off_accepts_it(
        self, receiver: Receiver, minutes: int
    ) -> None:
        send(receiver.url)
        call = receiver.calls[0]
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes)):
            Webhook(SECRET).verify(call.body, call.headers)

    def test_what_is_sent_again_much_later_is_signed_anew(self, receiver: Receiver) -> None:
        delivery, sender = outgoing(), adapter()
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=1), tick=True):
            sender.send(signed(receiver.url), [delivery])
        sender.send(signed(receiver.url), [delivery])
        first, again = receiver.calls
        assert (first.event_id, first.body) == (again.event_id, again.body)
        Webhook(SECRET).verify(again.body, again.headers)
        with pytest.raises(WebhookVerificationError, match="too old"):
            Webhook(SECRET).verify(first.body, first.headers)


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    def test_2xx_is_delivered(self, receiver: Receiver, status: int) -> None:
        body = b"" if status == 204 else b"ok"
        receiver.respond = lambda call: Answer(status, body=body)
        outcome = send(receiver.url)
        assert isinstance(outcome, Delivered)
        assert (outcome.status_code, outcome.answer) == (status, body.decode())

    @pytest.mark.parametrize("status", [400, 408, 409, 425, 429, 500, 501, 502, 503, 504, 524])
    def test_may_work_later(self, receiver: Receiver, status: int) -> None:
        receiver.respond = lambda call: Answer(status)
        outcome = send(receiver.url)
        assert isinstance(outcome, Retryable)
        assert outcome.throttled is (status in {429, 502, 503, 504})

    @pytest.mark.parametrize("status", [413, 422])
    def test_this_event_never(self, receiver: Receiver, status: int) -> None:
        receiver.respond = lambda call: Answer(status)
        assert isinstance(send(receiver.url), Permanent)

    @pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 415])
    def test_somebody_must_change_something(self, receiver: Receiver, status: int) -> None:
        receiver.respond = lambda call: Answer(status)
        outcome = send(receiver.url)
        assert isinstance(outcome, Configuration)
        assert outcome.gone is (status == 410)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, receiver: Receiver, status: int) -> None:
        """Scenario 47: not even to an address that would be allowed."""
        with Receiver() as target:
            receiver.respond = lambda call: Answer(status, {"location": target.url})
            assert isinstance(send(receiver.url), Configuration)
            assert target.connections == 0

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [("7", 7, 7), ("in half a minute", 20, 31), ("99999999", 3600, 3600), ("-5", 0, 0)],
    )
    def test_retry_after_in_seconds_and_as_a_date(
        self, receiver: Receiver, text: str, low: float, high: float
    ) -> None:
        if text == "in half a minute":
            text = formatdate(time.time() + 30, usegmt=True)
        receiver.respond = lambda call: Answer(429, {"retry-after": text})
        outcome = send(receiver.url)
        assert isinstance(outcome, Retryable)
        assert outcome.retry_after is not None
        assert low <= outcome.retry_after <= high

    @pytest.mark.parametrize("text", ["soon", "", "1e400", "NaN", "²"])
    def test_nonsense_in_retry_after_is_left_out(self, receiver: Receiver, text: str) -> None:
        receiver.respond = lambda call: Answer(503, {"retry-after": text.encode().decode("latin1")})
        outcome = send(receiver.url)
        assert isinstance(outcome, Retryable)
        assert outcome.retry_after is None

    def test_an_answer_with_nul_and_bad_utf8_can_be_stored(self, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(500, body=b"a\x00b\xff" + b"x" * 10_000)
        answer = send(receiver.url).answer
        assert answer.startswith("a�b�x")
        assert len(answer) == 2048


class TestOutOfTime:
    """What was not sent has not arrived, whatever the reason: at some vendors a doubt is parked."""

    def sent(self, receiver: Receiver, *, is_connected: bool) -> Outcome:
        sender = adapter()
        if is_connected:
            sender.send(signed(receiver.url), [outgoing()])
        with transport.deadline(0.0):
            return sender.send(signed(receiver.url), [outgoing()])[0]

    @pytest.mark.parametrize("is_connected", [False, True])
    def test_before_anything_was_sent(self, receiver: Receiver, is_connected: bool) -> None:
        outcome = self.sent(receiver, is_connected=is_connected)
        assert isinstance(outcome, Retryable)
        assert not outcome.may_have_arrived
        assert len(receiver.calls) == is_connected

    def test_after_it_was_sent(self, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(after_seconds=30)
        outcome = send(receiver.url, total=0.5)
        assert isinstance(outcome, Retryable)
        assert outcome.may_have_arrived


class TestHostileReceivers:
    """Scenario 48: one hard deadline, 64 kB, and the worker is free again."""

    def hostile(self, talk: Any, *, total: float = 1.0) -> tuple[Outcome, float]:
        with RawServer(talk) as server:
            began = time.monotonic()
            return send(server.url, total=total), time.monotonic() - began

    def test_silence(self) -> None:
        outcome, took = self.hostile(lambda peer: time.sleep(SECONDS))
        assert isinstance(outcome, Retryable)
        assert took < SECONDS / 2

    def test_one_byte_of_the_headers_at_a_time(self) -> None:
        def drip(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(10 * SECONDS):
                peer.sendall(b"x")
                time.sleep(0.1)

        outcome, took = self.hostile(drip)
        assert isinstance(outcome, Retryable)
        assert took < SECONDS / 2

    def test_one_byte_of_the_body_at_a_time(self) -> None:
        def drip(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
            for _ in range(10 * SECONDS):
                peer.sendall(b"x")
                time.sleep(0.1)

        outcome, took = self.hostile(drip)
        assert isinstance(outcome, Retryable)
        assert took < SECONDS / 2

    def test_headers_without_end(self) -> None:
        def flood(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                peer.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")

        outcome, took = self.hostile(flood, total=3.0)
        assert isinstance(outcome, Retryable)
        assert took < SECONDS / 2

    def test_a_body_of_ten_gigabytes(self) -> None:
        sent = []

        def flood(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
            while True:
                sent.append(peer.send(b"x" * 65_536))

        outcome, _ = self.hostile(flood, total=3.0)
        assert isinstance(outcome, Delivered)
        assert len(outcome.answer) == 2048
        assert sum(sent) < 10_000_000  # what the sockets' buffers hold

    def test_a_packed_bomb_is_not_unpacked(self) -> None:
        def bomb(peer: socket.socket) -> None:
            peer.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n"
            peer.sendall(head + b"\x1f\x8b\x08\x00")

        outcome, _ = self.hostile(bomb)
        assert isinstance(outcome, Delivered)

    @pytest.mark.parametrize("noise", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/9.9 abc\r\n\r\n"])
    def test_something_else_listens_there(self, noise: bytes) -> None:
        def talk(peer: socket.socket) -> None:
            peer.recv(65_536)
            peer.sendall(noise)

        outcome, _ = self.hostile(talk)
        assert isinstance(outcome, Retryable)
        assert outcome.error

    def test_what_is_not_http_is_not_repeated(self) -> None:
        outcome, _ = self.hostile(lambda peer: peer.sendall(b"Hello ada@example.com\r\n\r\n"))
        assert outcome.error == "The answer is not HTTP: illegal status line."

    def test_nobody_listens_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        assert isinstance(send(f"http://127.0.0.1:{port}/"), Retryable)
