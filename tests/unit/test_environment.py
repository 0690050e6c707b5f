"""A setting that cannot work stops the start with a sentence, and is not found out by callers."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment as env
from config.environment import BASE_DIR


@pytest.mark.parametrize(
    "url",
    ["redis://h:abc/0", "redis://h:6379/cache", "redis://h:99999/0", "http://h:6379/0"],
)
def test_an_address_of_redis_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"REDIS_URL must .* redis://host:6379/0"):
        env.redis_url()


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h:6379", "redis://h:6379/", "rediss://:p%2Fw@h:6379/15?ssl_cert_reqs=x"],
)
def test_addresses_of_redis(monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("REDIS_URL", url)
    assert env.redis_url() == url


def test_an_option_of_postgresql_that_is_misspelt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/x?sslmod=verify-full")
    with pytest.raises(ImproperlyConfigured, match="sslmod"):
        env.database()
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/x?sslmode=verify-full")
    assert env.database()["OPTIONS"] == {"sslmode": "verify-full"}


@pytest.mark.parametrize("host", ["https://shop.example.com", "shop.example.com:443"])
def test_a_host_that_no_request_can_name(monkeypatch: pytest.MonkeyPatch, host: str):
    monkeypatch.setenv("ALLOWED_HOSTS", f"a.example.com,{host}")
    with pytest.raises(ImproperlyConfigured, match=f"ALLOWED_HOSTS has '{host}'"):
        env.hosts("ALLOWED_HOSTS", [])
    monkeypatch.setenv("ALLOWED_HOSTS", "a.example.com,.b.example.com,[::1],*")
    assert len(env.hosts("ALLOWED_HOSTS", [])) == 4


def test_an_origin_without_its_scheme(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CSRF_TRUSTED_ORIGINS", "https://a.example.com,b.example.com")
    with pytest.raises(ImproperlyConfigured, match=r"CSRF_TRUSTED_ORIGINS has 'b\.example\.com'"):
        env.origins("CSRF_TRUSTED_ORIGINS")


def test_a_pool_that_would_keep_more_than_it_may_have():
    small = {**os.environ, "DB_POOL_MAX": "2", "DB_POOL_MIN": "3"}
    command = [sys.executable, "-c", "import config.settings"]
    said = subprocess.run(command, env=small, cwd=BASE_DIR, capture_output=True, text=True)
    assert "DB_POOL_MIN is '3'; set it to a number from 0 to 2" in said.stderr
