"""Make the floor's tables and members, and print its key."""

import os
from pathlib import Path

import psycopg

from benchmarks import tills
from benchmarks.floor.views import KEY


def prepare(url: str) -> None:
    """Write what the tills need."""
    with psycopg.connect(url) as connection:
        connection.execute(Path(__file__).with_name("schema.sql").read_text())
        connection.execute(
            "INSERT INTO member SELECT n, lpad(n::text, 8, '0') FROM generate_series(0, %s) AS n",
            [tills.MEMBERS - 1],
        )
        connection.execute("INSERT INTO balance SELECT id, 0, 0 FROM member")


if __name__ == "__main__":
    prepare(os.environ["DATABASE_URL"])
    print(KEY)
