"""The webhook adapter against receivers that are friendly, hostile, or not there."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from crm_sync.adapters.contract import (
    ConfigRefused,
    Configuration,
    Delivered,
    Environment,
    Outcome,
    Outgoing,
    Permanent,
    Retryable,
)
from crm_sync.adapters.webhook import WebhookAdapter
from tests.integration.crm_sync.receivers import Answer, RawServer, Receiver

SECRET = "whsec_" + "A" * 43 + "="
OLD_SECRET = "whsec_" + "B" * 43 + "="


def adapter(*, private: bool = True, total: float = 5.0) -> WebhookAdapter:
    return WebhookAdapter(
        Environment(
            home=Path("/nonexistent"),
            allow_private_addresses=private,
            connect_seconds=min(total, 5.0),
            total_seconds=total,
        )
    )


def outgoing(**body: Any) -> Outgoing:
    content = {"id": "evt_1", "type": "points.earned"} | body
    return Outgoing(event_id=str(content["id"]), body=content, correlation_id=uuid4())


def send(url: str, **options: Any) -> Outcome:
    return adapter(**options).send(config={"url": url}, secrets=[SECRET], deliveries=[outgoing()])[
        0
    ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


class TestSigning:
    """Scenario 49."""

    def test_the_standard_library_accepts_the_signature(self, receiver: Receiver) -> None:
        delivery = outgoing(data={"name": "Zoë ☕", "n": 1})
        adapter().send(config={"url": receiver.url}, secrets=[SECRET], deliveries=[delivery])
        call = receiver.calls[0]
        assert Webhook(SECRET).verify(call.body, call.headers) == dict(delivery.body)
        assert call.headers["webhook-id"] == "evt_1"
        assert call.headers["x-correlation-id"] == delivery.correlation_id.hex

    def test_both_secrets_verify_during_a_rotation(self, receiver: Receiver) -> None:
        deliveries = [outgoing(id=f"evt_{n}") for n in range(500)]
        outcomes = adapter().send(
            config={"url": receiver.url}, secrets=[SECRET, OLD_SECRET], deliveries=deliveries
        )
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

    def test_retry_after_in_seconds_and_as_a_date(self, receiver: Receiver) -> None:
        for text, low, high in [
            ("7", 7, 7),
            (formatdate(time.time() + 30, usegmt=True), 25, 31),
            ("99999999", 3600, 3600),
            ("-5", 0, 0),
        ]:
            receiver.respond = lambda call, text=text: Answer(429, {"retry-after": text})
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


class TestHostileReceivers:
    """Scenario 48: one hard deadline, 64 kB, and the worker is free again."""

    def hostile(self, talk: Any, *, total: float = 1.0) -> tuple[Outcome, float]:
        with RawServer(talk) as server:
            began = time.monotonic()
            return send(server.url, total=total), time.monotonic() - began

    def test_silence(self) -> None:
        outcome, took = self.hostile(lambda peer: time.sleep(4))
        assert isinstance(outcome, Retryable)
        assert took < 1.5

    def test_one_byte_of_the_headers_at_a_time(self) -> None:
        def drip(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                peer.sendall(b"x")
                time.sleep(0.1)

        outcome, took = self.hostile(drip)
        assert isinstance(outcome, Retryable)
        assert took < 1.5

    def test_one_byte_of_the_body_at_a_time(self) -> None:
        def drip(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
            for _ in range(100):
                peer.sendall(b"x")
                time.sleep(0.1)

        outcome, took = self.hostile(drip)
        assert isinstance(outcome, Retryable)
        assert took < 1.5

    def test_headers_without_end(self) -> None:
        def flood(peer: socket.socket) -> None:
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                peer.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")

        outcome, took = self.hostile(flood, total=3.0)
        assert isinstance(outcome, Retryable)
        assert took < 3.5

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

    def test_nobody_listens_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        assert isinstance(send(f"http://127.0.0.1:{port}/"), Retryable)

    def test_fifty_at_once_do_not_delay_a_healthy_one(self, receiver: Receiver) -> None:
        with RawServer(lambda peer: time.sleep(4)) as server:
            hostile = adapter(total=3.0)
            threads = [
                threading.Thread(
                    target=hostile.send,
                    kwargs={
                        "config": {"url": server.url},
                        "secrets": [SECRET],
                        "deliveries": [outgoing()],
                    },
                )
                for _ in range(50)
            ]
            for thread in threads:
                thread.start()
            began = time.monotonic()
            result = hostile.send(
                config={"url": receiver.url}, secrets=[SECRET], deliveries=[outgoing()]
            )
            assert isinstance(result[0], Delivered)
            assert time.monotonic() - began < 2
            for thread in threads:
                thread.join()


# Scenario 47. What cannot be refused by its form alone is resolved, so no answer is needed here.
BAD_URLS = [
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/hook",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost:9000/",
    "https://localhost./",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001::1]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://2852039166/",
    "https://100.100.100.200/latest/",
    "https://100.64.0.1/",
    "https://192.0.0.192/",
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://192.168.1.1:8080/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "http://93.184.215.14/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "//example.com/hook",
    "example.com/hook",
    "https://",
    "https:///hook",
    "",
    "https://user:password@93.184.215.14/",
    "https://127.0.0.1@93.184.215.14/",
    "https://93.184.215.14/#fragment",
    "https://93.184.215.14:99999/",
    "https://93.184.215.14/" + "a" * 2000,
    "https://exa mple.com/",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "https://①②⑦.0.0.1/",
    "https://no-such-host.invalid/",
    "https://127.0.0.1%2f@example.invalid/",
    "https://example.invalid\\@127.0.0.1/",
]


class TestAddresses:
    """Scenario 47: refused at creation and at connect; no listener sees anything."""

    @pytest.mark.parametrize("url", BAD_URLS)
    def test_refused_at_creation(self, url: str) -> None:
        with pytest.raises(ConfigRefused):
            adapter(private=False).check({"url": url})

    @pytest.mark.parametrize("url", BAD_URLS)
    def test_refused_at_connect(self, url: str) -> None:
        connected: list[Any] = []
        original = socket.create_connection
        try:
            socket.create_connection = lambda *args, **kw: connected.append(args)  # type: ignore
            outcome = send(url, private=False)
        finally:
            socket.create_connection = original
        assert not isinstance(outcome, Delivered)
        assert connected == []

    def test_at_least_sixty(self) -> None:
        assert len(set(BAD_URLS)) >= 60

    def test_a_listener_on_this_machine_sees_nothing(self, receiver: Receiver) -> None:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "127.1"):
            outcome = send(f"https://{host}:{receiver.port}/", private=False)
            assert isinstance(outcome, Configuration)
        assert receiver.connections == 0

    def test_a_name_that_is_resolved_differently_each_time(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS rebinding: public when it is looked at, this machine when it is connected to."""
        answers = iter(["93.184.215.14", "127.0.0.1", "93.184.215.14", "127.0.0.1"])
        asked = []

        def rebind(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

        monkeypatch.setattr(socket, "getaddrinfo", rebind)
        strict = adapter(private=False)
        config = strict.check({"url": f"https://rebind.example:{receiver.port}/"})
        outcome = strict.send(config=config, secrets=[SECRET], deliveries=[outgoing()])[0]
        assert isinstance(outcome, Configuration)
        assert "127.0.0.1" in outcome.error
        assert receiver.connections == 0
        assert len(asked) == 2

    def test_the_address_that_was_judged_is_the_one_connected_to(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is asked once for a connection: between judging and connecting is nothing."""
        asked: list[str] = []
        connected: list[str] = []

        def public(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

        def connect(address: tuple[str, int], *_: Any, **__: Any) -> None:
            connected.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", public)
        monkeypatch.setattr(socket, "create_connection", connect)
        assert isinstance(send("https://hooks.example/", private=False), Retryable)
        assert asked == ["hooks.example"]
        assert connected == ["93.184.215.14"]

    def test_a_proxy_of_the_environment_is_not_used(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Receiver() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("ALL_PROXY", proxy.url)
            assert isinstance(send(receiver.url), Delivered)
            assert proxy.connections == 0

    def test_unknown_settings_are_named(self) -> None:
        with pytest.raises(ConfigRefused, match="follow"):
            adapter().check({"url": "http://127.0.0.1/", "follow": True})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
class TestTls:
    def make_certificate(self, folder: Path, name: str) -> Path:
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        return folder / "cert.pem"

    def serve(self, folder: Path, names: list[str | None]) -> RawServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        context.sni_callback = lambda sock, name, ctx: names.append(name)

        def talk(peer: socket.socket) -> None:
            with context.wrap_socket(peer, server_side=True) as secure:
                received = b""
                while not received.endswith(b"}"):  # what is left unread would reset the answer
                    received += secure.recv(65_536)
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        return RawServer(talk)

    @pytest.mark.parametrize(("name", "trusted"), [("hooks.example", True), ("other.ex", False)])
    def test_the_certificate_is_checked_against_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
    ) -> None:
        certificate = self.make_certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        names: list[str | None] = []
        with self.serve(tmp_path, names) as server:
            here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
            outcome = send(f"https://hooks.example:{server.port}/hook")
        assert isinstance(outcome, Delivered) is trusted
        assert names == ["hooks.example"]
