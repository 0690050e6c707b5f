"""Where the webhook adapter goes, and where it never goes."""

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from crm_sync.adapters import transport
from crm_sync.adapters.contract import ConfigRefused
from crm_sync.adapters.outcomes import Configuration, Delivered, Retryable
from tests.integration.crm_sync.calls import adapter, outgoing, send, signed
from tests.integration.crm_sync.receivers import RawServer, Receiver

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
        outcome = strict.send(signed(config["url"]), [outgoing()])[0]
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

    def serve(
        self, folder: Path, names: list[str | None], *, after_seconds: float = 0.0
    ) -> RawServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        context.sni_callback = lambda sock, name, ctx: names.append(name)

        def talk(peer: socket.socket) -> None:
            with context.wrap_socket(peer, server_side=True) as secure:
                received = b""
                while not received.endswith(b"}"):  # what is left unread would reset the answer
                    received += secure.recv(65_536)
                time.sleep(after_seconds)
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

    def test_an_answer_that_takes_long_is_read_all_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is waited for twice: a moment, and then with nothing in hand that others need."""
        certificate = self.make_certificate(tmp_path, "hooks.example")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with self.serve(tmp_path, [], after_seconds=0.6) as server:
            here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
            let_go: list[float] = []
            with transport.letting_go(lambda: let_go.append(time.monotonic())):
                outcome = send(f"https://hooks.example:{server.port}/hook")
        assert isinstance(outcome, Delivered)
        assert let_go[-1] > let_go[0] + 0.1
