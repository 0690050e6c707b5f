"""The machine: what processes have cost, how busy it is with others, and what it is."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    seconds: float
    of_dead_children: float


def _stat(pid: int) -> _Stat | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    own, dead = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return _Stat(int(fields[1]), own / _TICKS, dead / _TICKS)


def postgres_settings() -> list[str]:
    """Give what docs/operations.md asks of a PostgreSQL that has this machine.

    What 10 million postings are looked up in does not fit into the 128 MB of its own defaults, and
    a batch would write out pages that the next one needs.
    """
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return [f"shared_buffers={megabytes // 4}MB", "max_wal_size=8GB"]


def family(root: int) -> list[int]:
    """List a process and all below it."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.glob("[0-9]*")}
    found = [root]
    for pid in found:
        found += [child for child, stat in stats.items() if stat and stat.parent == pid]
    return found


def cpu_seconds(root: int) -> float:
    """Sum the CPU time of a process, of all below it, and of those that have ended."""
    stats = [_stat(pid) for pid in family(root)]
    return sum(stat.seconds + stat.of_dead_children for stat in stats if stat)


def resident_bytes(pid: int) -> int:
    """Give the memory that a process has in RAM."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE


def peak_bytes() -> int:
    """Give the most memory that this process has had in RAM at any time."""
    for line in (_PROC / "self" / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("This kernel does not tell the peak of a process's memory.")


def busy_seconds() -> float:
    """Sum the time that all cores have worked, for anybody."""
    fields = [int(part) for part in (_PROC / "stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def share(seconds: float, passed: float) -> float:
    """Give CPU seconds as a share of what all cores had."""
    return max(0.0, seconds / passed / cores())


def cores() -> int:
    """Count the cores that we may use."""
    return len(os.sched_getaffinity(0))


def described(postgresql: str) -> str:
    """Say in a line what this machine is, and how busy."""
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    return (
        f"{cores()} cores ({_model()}), {_memory():.0f} GB, PostgreSQL {postgresql}, "
        f"Python {platform.python_version()}, load average {load}"
    )


def _model() -> str:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> float:
    kilobytes = int((_PROC / "meminfo").read_text().split()[1])
    return kilobytes / 1024 / 1024
