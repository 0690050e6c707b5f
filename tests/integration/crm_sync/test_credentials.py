"""Secrets that others gave us: encrypted, never shown, renewed by one worker at a time."""

import threading
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from crm_sync.adapters.access import MustWait, SecretMissing, Token
from crm_sync.models import Connection, Vault
from crm_sync.services.credentials import StoredCredentials, reseal_all, set_secrets
from tests.integration.crm_sync.outbox import Outbox


@pytest.fixture
def destination(outbox: Outbox) -> Connection:
    made: Connection = outbox.connect()
    set_secrets(connection_id=made.pk, given={"api_key": "pk_secret", "refresh_token": "first"})
    return made


def renew(name: str, seconds: float = 3600) -> Token:
    return Token(access_token=f"token {name}", seconds=seconds, rotated={"refresh_token": name})


class TestAtRest:
    def test_it_is_nowhere_in_the_database(self, destination: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT v::text FROM crm_sync_vault AS v")
            assert not any("pk_secret" in row[0] for row in cursor.fetchall())
        assert StoredCredentials(destination.pk).get("api_key") == "pk_secret"

    def test_what_is_not_named_stays(self, destination: Connection) -> None:
        set_secrets(connection_id=destination.pk, given={"api_key": "pk_new"})
        credentials = StoredCredentials(destination.pk)
        assert (credentials.get("api_key"), credentials.get("refresh_token")) == ("pk_new", "first")

    def test_one_that_was_never_given_is_missed_by_name(self, destination: Connection) -> None:
        with pytest.raises(SecretMissing, match="client_id"):
            StoredCredentials(destination.pk).get("client_id")

    def test_it_is_read_once_for_a_turn_of_calls(self, destination: Connection) -> None:
        credentials = StoredCredentials(destination.pk)
        with CaptureQueriesContext(connection) as asked:
            assert [credentials.get("api_key") for _ in range(3)] == ["pk_secret"] * 3
        assert len(asked) == 1

    def test_a_new_key_reads_the_old_ones_until_all_are_sealed_anew(
        self, destination: Connection, settings: Any
    ) -> None:
        old, new = settings.CRM_SECRETS_KEYS[0], Fernet.generate_key().decode()
        settings.CRM_SECRETS_KEYS = [new, old]
        assert StoredCredentials(destination.pk).get("api_key") == "pk_secret"
        call_command("reseal_secrets", stdout=StringIO())
        settings.CRM_SECRETS_KEYS = [new]
        assert StoredCredentials(destination.pk).get("api_key") == "pk_secret"
        settings.CRM_SECRETS_KEYS = [old]
        with pytest.raises(SecretMissing, match="cannot be read"):
            StoredCredentials(destination.pk).get("api_key")
        settings.CRM_SECRETS_KEYS = [old, new]
        reseal_all()

    def test_without_a_key_nothing_is_stored(self, outbox: Outbox, settings: Any) -> None:
        settings.CRM_SECRETS_KEYS = []
        with pytest.raises(SecretMissing, match="CRM_SECRETS_KEYS is not set"):
            set_secrets(connection_id=outbox.connect().pk, given={"api_key": "pk"})


class TestTokens:
    def test_it_is_obtained_once_and_kept_with_what_it_rotated(
        self, destination: Connection
    ) -> None:
        first = StoredCredentials(destination.pk)
        assert first.token(lambda: renew("second")) == "token second"
        assert StoredCredentials(destination.pk).token(lambda: renew("never")) == "token second"
        assert first.get("refresh_token") == "second"
        assert first.get("api_key") == "pk_secret"

    def test_one_that_was_refused_or_ends_soon_is_renewed(self, destination: Connection) -> None:
        credentials = StoredCredentials(destination.pk)
        credentials.token(lambda: renew("a"))
        assert credentials.token(lambda: renew("b", 30), refused="token a") == "token b"
        assert credentials.token(lambda: renew("c")) == "token c"

    def test_two_workers_at_once_use_the_refresh_token_once(self, destination: Connection) -> None:
        begun, may_end = threading.Event(), threading.Event()
        got: list[str] = []

        def slow() -> Token:
            begun.set()
            may_end.wait(20)
            return renew("rotated")

        def work() -> None:
            got.append(StoredCredentials(destination.pk).token(slow))
            connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(20)
        with pytest.raises(MustWait):
            StoredCredentials(destination.pk).token(lambda: renew("twice"))
        may_end.set()
        thread.join()
        other = StoredCredentials(destination.pk).token(lambda: renew("twice"))
        assert [*got, other] == ["token rotated"] * 2

    def test_a_failure_lets_the_next_one_try(self, destination: Connection) -> None:
        def fail() -> Token:
            raise OSError("no network")

        with pytest.raises(OSError, match="no network"):
            StoredCredentials(destination.pk).token(fail)
        assert StoredCredentials(destination.pk).token(lambda: renew("ok")) == "token ok"

    def test_whoever_died_while_renewing_blocks_nobody_for_long(
        self, destination: Connection
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE crm_sync_vault SET renewal = gen_random_uuid(),"
                " renewing_until = now() - interval '1 s' WHERE connection_id = %s",
                [destination.pk],
            )
        assert StoredCredentials(destination.pk).token(lambda: renew("ok")) == "token ok"

    def test_secrets_that_a_person_enters_meanwhile_win(self, destination: Connection) -> None:
        def obtain() -> Token:
            set_secrets(connection_id=destination.pk, given={"refresh_token": "by hand"})
            return renew("stale")

        credentials = StoredCredentials(destination.pk)
        assert credentials.token(obtain) == "token stale"
        assert credentials.get("refresh_token") == "by hand"
        assert Vault.objects.get(connection=destination).renewal is None
