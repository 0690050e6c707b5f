"""What all tests share: servers, settings, the live stack, and which tests run where.

The first lines run before anything of Django is imported: its settings need the addresses of the
servers, and other conftests import models.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.conf import settings as django_settings

from config.home import StartError
from tests.groups import GroupScheduling, group_of
from tests.services import Services, number_of_worker, own_redis_url
from tests.specs import NO_SPECS

IS_CONTROLLER = number_of_worker() == 0
CHROMIUM = Path("/usr/bin/chromium")

services = Services() if IS_CONTROLLER else None
if services is not None:
    services.publish()
os.environ["REDIS_URL"] = own_redis_url(os.environ["REDIS_URL"])
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
os.environ.setdefault("SECRET_KEY", "tests-only-" * 4)
os.environ.setdefault("LOYALTY_PEPPER", "tests-only-" * 4)
os.environ.setdefault("CRM_SECRETS_KEYS", "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=")
os.environ["HTTPS"] = "off"
os.environ["LOG_FORMAT"] = "plain"
django.setup()
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # in no time
# Only our own migrations are run: others' tables come from their models, which is a second quicker.
django_settings.MIGRATION_MODULES = dict.fromkeys(
    ("admin", "auth", "contenttypes", "django_celery_beat", "sessions")
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from config.embedded import PostgresServer
    from tests.stack import Stack


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers; workers inherit their addresses."""
    if services is not None and not config.option.collectonly:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all is stopped then too
        try:
            services.start()
        except StartError as error:
            pytest.exit(str(error), returncode=3)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without such a test alone when only serial ones are wanted: they are few."""
    wanted = config.option.markexpr == "serial" and collection_path.suffix == ".py"
    return True if wanted and "serial" not in collection_path.read_text() else None


def pytest_unconfigure() -> None:
    """Stop the servers, after Ctrl-C too."""
    if services is not None:
        services.stop()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say plainly that vendors' own contracts were not there: a green run proves less then."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    count = sum(NO_SPECS in reason for reason in reasons)
    if count:
        said = f"{count} tests did not hold requests against the vendors' own contracts: {NO_SPECS}"
        terminalreporter.write_line(f"WARNING: {said}.", yellow=True, bold=True)


def _turn(item: pytest.Item) -> int:
    if group_of(item.path):
        return 1
    return 2 if _leaves_rows(item) else 0


def _leaves_rows(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    has_database = "db" in names or item.get_closest_marker("django_db") is not None
    return not has_database or "committed" in names or "crm_sync" in item.path.parts


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let tests that belong together run in one worker."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests whose rows are rolled back run first; say once why browser tests are skipped.

    Some of them count on empty tables, and the others leave programs and members behind. Next are
    those that stay together, since one worker has long to do with them.
    """
    items.sort(key=_turn)
    for item in items:
        if item.get_closest_marker("browser") and not CHROMIUM.exists():
            reason = f"no {CHROMIUM}: apt-get install chromium"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def _one_stack() -> Iterator["Stack"]:
    from tests.stack import Stack

    stack = Stack()
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.fixture
def live_stack(_one_stack: "Stack") -> "Stack":
    """Return the whole engine as real processes; tests/stack.py says what it can do."""
    _one_stack.heal()
    return _one_stack


@pytest.fixture
def make_stack() -> Iterator[Callable[..., "Stack"]]:
    """Return a function that starts another engine with other settings; it ends with the test."""
    from tests.stack import Stack

    stacks: list[Stack] = []

    def make(**settings: str) -> Stack:
        stacks.append(Stack(**settings))
        return stacks[-1].start()

    yield make
    for stack in stacks:
        stack.stop()


@pytest.fixture
def durable_postgres(tmp_path: Path) -> Iterator["PostgresServer"]:
    """Return another PostgreSQL, durable as in production, which may be killed."""
    from config.embedded import PostgresServer

    server = PostgresServer(tmp_path / "postgres", "tests-only")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Return Debian's Chromium; mark such tests with `browser`."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # its own 5 s are few beside other tests
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs a loop in this thread
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    silent = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=["--headless", *quiet, *silent]
        )
        yield chromium
        chromium.close()
