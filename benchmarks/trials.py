"""What a backtest takes: seconds, cores and memory; and that it leaves the ledger alone."""

import json
from dataclasses import dataclass

import psycopg

from benchmarks import machine, tills
from benchmarks.copies import TABLES, copy_member
from benchmarks.rounds import Plan, Row, absolute, ratios
from benchmarks.stage import Site, Stage

ORDERS = 20  # of each member, over a year
MODEL = tills.card(90_000_000)
LONG_AGO = "now() - interval '400 days'"
AS_BOUGHT = {
    "loyalty_member": {"enrolled_at": LONG_AGO},
    "loyalty_order": {"recorded_at": "t.occurred_at"},
    "loyalty_ledgertransaction": {"recorded_at": "t.occurred_at"},
}
"""The copies' orders came in when they were bought."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What one backtest took.

    Attributes:
        cpu: Of its process and of PostgreSQL, which take turns: as if on one core.
        peak: The most memory that its process had, in MB.
    """

    orders: int
    seconds: float
    cpu: float
    peak: float


def backtest(stage: Stage, plan: Plan) -> list[Row]:
    """A draft over the stored orders of a year: many, and a tenth of them."""
    few = _stored(stage, "engine-backtest-small", plan.history)
    many = _stored(stage, "engine-backtest-big", 10 * plan.history)
    small, big = [], []
    for _ in range(min(plan.rounds, 3)):
        small.append(_try(stage, few))
        big.append(_try(stage, many))
    orders = f"{big[0].orders:,} orders"
    per_order = ratios([b.cpu / b.orders for b in big], [s.cpu / s.orders for s in small])
    return [
        absolute(f"backtest: {orders}", [b.seconds for b in big], "<= 60", "s"),
        absolute(f"backtest: {orders}, CPU with PostgreSQL's", [b.cpu for b in big], "<= 60", "s"),
        absolute(f"backtest: memory for {orders}", [b.peak for b in big], unit="MB"),
        Row(
            f"backtest: memory, {orders} to {small[0].orders:,}",
            *ratios([b.peak for b in big], [s.peak for s in small]),
            "<= 1.2",
        ),
        Row(f"backtest: CPU an order, {orders} to {small[0].orders:,}", *per_order, "<= 1.2"),
    ]


def _stored(stage: Stage, name: str, orders: int) -> Site:
    site = stage.empty_site(name)
    site.prepare()
    site.run("-m", "benchmarks.engine.past", MODEL, str(ORDERS))
    print(f"  making {orders:,} orders", flush=True)
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        copy_member(connection, MODEL, orders // ORDERS - 1, AS_BOUGHT)
    return site


def _try(stage: Stage, site: Site) -> Tried:
    before = _ledger(site)
    postgres = machine.cpu_seconds(stage.postgres_pid)
    told = site.run("-m", "benchmarks.engine.trial", watched=True)
    postgres = machine.cpu_seconds(stage.postgres_pid) - postgres
    if _ledger(site) != before:
        raise SystemExit("The backtest has changed the ledger.")
    found = json.loads(told.splitlines()[-1])
    tried = Tried(
        found["orders"], found["seconds"], found["cpu"] + postgres, found["peak"] / 1024 / 1024
    )
    print(
        f"    {tried.orders:>8,} orders  {tried.seconds:5.1f} s"
        f"  CPU {found['cpu']:5.1f} + {postgres:4.1f} s  {tried.peak:5.0f} MB",
        flush=True,
    )
    return tried


def _ledger(site: Site) -> list[tuple[object, ...]]:
    """Count every table's rows, and sum up what wallets say."""
    with psycopg.connect(site.database_url) as connection:
        found: list[tuple[object, ...]] = [
            connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or ()
            for table in TABLES
        ]
        wallets = "SELECT sum(seq), sum(available), sum(pending), sum(held) FROM loyalty_wallet"
        return [*found, connection.execute(wallets.encode()).fetchone() or ()]
