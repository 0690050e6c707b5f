"""One round of load on one site, what it cost, and how rounds become a ratio."""

import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import machine, tills
from benchmarks.stage import ROOT, Site, Stage

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run takes."""

    rounds: int
    seconds: float
    big: int
    small: int
    history: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round showed.

    Attributes:
        server, postgres, client: Milliseconds of CPU for each request.
        strangers: Share of all cores' time that went to others.
        mean, p50, p95, p99: Milliseconds until the answer.
        times: Seconds until each answer, the shortest first.
        earns: How many earns a request carries.
    """

    rate: float
    server: float
    postgres: float
    client: float
    strangers: float
    mean: float
    p50: float
    p95: float
    p99: float
    times: Sequence[float]
    earns: int = 1

    @classmethod
    def of(
        cls,
        times: list[float],
        *,
        seconds: float,
        server: float,
        postgres: float,
        client: float,
        strangers: float,
        requests: int = 0,
        earns: int = 1,
    ) -> "Sample":
        """Make a sample of each request's seconds, and of the seconds of CPU of all requests.

        Args:
            requests: How many shared the CPU, if more than were timed.
        """
        times = sorted(times)
        share = 1000 / (requests or len(times))
        return cls(
            rate=len(times) / seconds,
            server=server * share,
            postgres=postgres * share,
            client=client * share,
            strangers=strangers,
            mean=statistics.fmean(times) * 1000,
            p50=times[len(times) // 2] * 1000,
            p95=times[len(times) * 95 // 100] * 1000,
            p99=times[len(times) * 99 // 100] * 1000,
            times=times,
            earns=earns,
        )

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU of the server and PostgreSQL for each request."""
        return self.server + self.postgres

    def __str__(self) -> str:
        return (
            f"{self.rate:7.0f}/s  CPU {self.server:5.2f} + {self.postgres:4.2f} ms"
            f"  p50 {self.p50:6.1f}  p99 {self.p99:6.1f} ms"
            f"  (tills {self.client:.2f} ms; strangers {self.strangers:.0%})"
        )


def play(
    stage: Stage,
    site: Site,
    kind: str,
    *,
    seconds: float,
    members: Sequence[int] = range(tills.MEMBERS),
    connections: int = CONNECTIONS,
    most: int = 10**9,
    rest: float = 0.0,
) -> Sample:
    """Let tills send requests for some seconds, or `most` of them, and measure.

    Args:
        rest: Seconds between an answer and the till's next request.
    """
    job = {
        "kind": kind,
        "port": site.port,
        "token": site.token,
        "members": list(members),
        "prefix": secrets.token_hex(6),
        "connections": connections,
        "seconds": seconds,
        "most": most,
        "rest": rest,
        "workers": machine.family(site.pid)[1:],
    }
    before = machine.cpu_seconds(site.pid), machine.cpu_seconds(stage.postgres_pid)
    busy, started = machine.busy_seconds(), time.perf_counter()
    seen = _tills(site, job)
    busy, passed = machine.busy_seconds() - busy, time.perf_counter() - started
    server = machine.cpu_seconds(site.pid) - before[0]
    postgres = machine.cpu_seconds(stage.postgres_pid) - before[1]
    return Sample.of(
        seen["times"],
        seconds=seen["seconds"],
        server=server,
        postgres=postgres,
        client=seen["cpu"],
        strangers=machine.share(busy - server - postgres - seen["cpu"], passed),
        requests=seen["requests"],
        earns=tills.BATCH if kind == "batch" else 1,
    )


def _tills(site: Site, job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client"],
        input=json.dumps(job),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        log = (site.folder / f"{site.name}.log").read_text()[-2000:]
        raise SystemExit(f"{site.name}: {done.stderr[-2000:]}\n{log}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


Side = Callable[[], Sample]


def interleave(rounds: int, sides: dict[str, Side]) -> dict[str, list[Sample]]:
    """Play all sides in turn, A B A B, so that a noisy minute is shared by all."""
    found: dict[str, list[Sample]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            sample = side()
            found[name].append(sample)
            print(f"    {name:<12} {sample}", flush=True)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        low, high: What the lowest and the highest round showed.
        target: As in ">= 3" or "<= 1.2"; empty where there is none.
    """

    what: str
    value: float
    low: float
    high: float
    target: str = ""
    unit: str = "×"

    @property
    def verdict(self) -> str:
        """Tell whether the target is reached by the median."""
        if not self.target:
            return ""
        sign, _, bound = self.target.partition(" ")
        limit = float(bound.replace(",", ""))
        return (
            "reached"
            if (self.value >= limit if sign == ">=" else self.value <= limit)
            else "**missed**"
        )


def ratio(
    what: str,
    above: Sequence[Sample],
    below: Sequence[Sample],
    of: Callable[[Sample], float],
    target: str = "",
) -> Row:
    """Compare two sides round by round."""
    return Row(what, *ratios([of(a) for a in above], [of(b) for b in below]), target)


def p95_ratio(what: str, above: Sequence[Sample], below: Sequence[Sample], target: str = "") -> Row:
    """Compare the p95 of all rounds of two sides, with the lowest and highest round's.

    A short round has a dozen answers beyond its p95, and a noisy moment is most of them.
    """
    _, low, high = ratios([a.p95 for a in above], [b.p95 for b in below])
    return Row(what, _p95(above) / _p95(below), low, high, target)


def _p95(rounds: Sequence[Sample]) -> float:
    times = sorted(time for one in rounds for time in one.times)
    return times[len(times) * 95 // 100]


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Give the median, the lowest and the highest ratio of neighbours."""
    pairs = [a / b for a, b in zip(above, below, strict=True)]
    return statistics.median(pairs), min(pairs), max(pairs)


def absolute(what: str, values: Sequence[float], target: str = "", unit: str = "") -> Row:
    """Show a number that is not a ratio."""
    return Row(what, statistics.median(values), min(values), max(values), target, unit)


def table(rows: Sequence[Row]) -> str:
    """Write the table of all rows as docs/performance.md shows it."""
    lines = [
        f"| {'what':<58} | {'median':<10} | {'lowest':<9} | {'highest':<9} | {'target':<10} | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        target = row.target.replace(">=", "≥").replace("<=", "≤")
        lines.append(
            f"| {row.what:<58} | {_number(row.value, row.unit):<10} | {_number(row.low):<9}"
            f" | {_number(row.high):<9} | {target:<10} | {row.verdict} |"
        )
    return "\n".join(lines)


def _number(value: float, unit: str = "") -> str:
    text = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{text} {unit}".strip()
