"""How connections are doing, for Prometheus: read from PostgreSQL at each scrape.

Workers keep no counters of their own: they are not scraped, and die. So what is given are gauges,
the same from whichever web process answers.
"""

from collections.abc import Iterator

from django.db.models import Count, F
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from crm_sync.inbound.selectors import list_inboxes
from crm_sync.models import Connection, Contact
from crm_sync.selectors import Health, count_drifted, count_outcomes, list_health

MINUTES = 5


class CrmCollector(Collector):
    """The gauges of all connections."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read and give them."""
        connections = list(Connection.objects.filter(removed_at=None).select_related("program"))
        health = list_health(connections)
        labels = {c.pk: [c.program.code, c.name, c.adapter] for c in connections}
        yield from _health(labels, health)
        yield _profiles(labels)
        yield _drifted(labels)
        yield _attempts(labels)
        yield from _inbox()


def _health(labels: dict[int, list[str]], health: dict[int, Health]) -> Iterator[GaugeMetricFamily]:
    up = _gauge("up", "1: events get through. 0: failing, down or disabled")
    lag = _gauge("lag_seconds", "Age of the oldest event that waits to be sent")
    waiting = _gauge("waiting_events", "Events that wait to be sent")
    dead = _gauge("dead_events", "Events that were given up, or parked for a person")
    behind = _gauge("events_behind", "Events that were not handed to the lanes yet")
    for pk, found in health.items():
        up.add_metric(labels[pk], float(found.state == "enabled"))
        lag.add_metric(labels[pk], found.lag_seconds)
        waiting.add_metric(labels[pk], found.pending)
        dead.add_metric(labels[pk], found.dead + found.parked)
        behind.add_metric(labels[pk], found.behind)
    yield from (up, lag, waiting, dead, behind)


def _profiles(labels: dict[int, list[str]]) -> GaugeMetricFamily:
    gauge = _gauge("waiting_profiles", "Members whose profile waits to be sent")
    rows = Contact.objects.filter(wanted__gt=F("done")).values_list("connection_id")
    counted = dict(rows.annotate(Count("member_id")).order_by())
    for pk, label in labels.items():
        gauge.add_metric(label, counted.get(pk, 0))
    return gauge


def _drifted(labels: dict[int, list[str]]) -> GaugeMetricFamily:
    text = "Members whose profile differs from what the vendor was told, as of the last comparison"
    gauge = _gauge("drifted_profiles", text)
    counted = count_drifted()
    for pk, label in labels.items():
        gauge.add_metric(label, counted.get(pk, 0))
    return gauge


def _attempts(labels: dict[int, list[str]]) -> GaugeMetricFamily:
    text = f"Attempts of the last {MINUTES} minutes, by what came of them"
    gauge = _gauge("recent_attempts", text, "outcome")
    for pk, outcomes in count_outcomes(minutes=MINUTES).items():
        for outcome, count in outcomes.items():
            if pk in labels:
                gauge.add_metric([*labels[pk], outcome], count)
    return gauge


def _inbox() -> Iterator[GaugeMetricFamily]:
    labels = ["program", "source", "kind"]
    waiting, lag, people = (
        GaugeMetricFamily(f"loyalty_inbox_{name}", text, labels=labels)
        for name, text in (
            ("waiting", "Messages that came in and wait to be worked on"),
            ("lag_seconds", "Age of the oldest of them"),
            ("for_people", "Messages that were given up, or parked for a person"),
        )
    )
    for source, found in list_inboxes():
        label = [source.program.code, source.name, source.kind]
        waiting.add_metric(label, found.waiting)
        lag.add_metric(label, found.lag_seconds)
        people.add_metric(label, found.for_people)
    yield from (waiting, lag, people)


def _gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
    labels = ["program", "connection", "adapter", *more]
    return GaugeMetricFamily(f"loyalty_crm_{name}", text, labels=labels)
