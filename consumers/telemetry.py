"""What the service says about itself: every metric in one typed list, and logs that are events with fields.

The domain returns facts; processes count and log them here. Nothing is registered globally: a process makes one
`Telemetry`, tests make their own.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from replay.comparison import Comparison
from replay.settings import Settings

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metric(NamedTuple):
    """A metric as it is documented and exported. Names get the prefix `shadow_replay_`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


LAG = Metric("lag", "gauge", "records of the source behind the committed watermark", ("topic", "partition"))
POSITION = Metric("watermark", "gauge", "first offset that is not finished", ("topic", "partition"))
OLDEST = Metric("oldest_in_flight_seconds", "gauge", "age of the oldest record that is read and not finished")
RECORDS_OPEN = Metric("records_in_flight", "gauge", "records read and not finished")
BYTES_OPEN = Metric("bytes_in_flight", "gauge", "their bytes")
REPLAYS_OPEN = Metric("replays_in_flight", "gauge", "replays begun and not ended")
PARTITIONS = Metric("assigned_partitions", "gauge", "partitions this process owns")
RECORDS = Metric("records_total", "counter", "records read, by what became of them", ("outcome",))
COMPARISONS = Metric("comparisons_total", "counter", "comparisons published", ("lane", "mode", "disposition"))
FLAGS = Metric("flags_total", "counter", "rules that fired", ("rule", "severity"))
DEAD_LETTERS = Metric("dead_letters_total", "counter", "records that could not be used", ("stage",))
COMMITS = Metric("commits_total", "counter", "offset commits, by result", ("result",))
COMMIT_SECONDS = Metric("commit_seconds", "histogram", "watermark and offset commit, together")
DELIVERY_FAILURES = Metric("delivery_failures_total", "counter", "writes that had to be made again")
REBALANCES = Metric("rebalances_total", "counter", "assignments received")
KEPT = Metric("leases_kept_total", "counter", "partitions carried through a rebalance with their work")
LOST = Metric("leases_lost_total", "counter", "partitions given away")
MODEL_SECONDS = Metric("model_seconds", "histogram", "model time of one replay", ("mode",))
MODEL_CALLS = Metric("model_calls_total", "counter", "model calls of published comparisons")
MODEL_RETRIES = Metric("model_retries_total", "counter", "attempts at them beyond the first")
SPEND = Metric("spend_usd_total", "counter", "money spent on them, where prices are known")
UNPRICED = Metric("unpriced_comparisons_total", "counter", "comparisons whose cost is not known")
STUB_ANSWERS = Metric("stub_answers_total", "counter", "tool answers by how true they were", ("grade",))
COVERAGE = Metric("coverage_ratio", "histogram", "share of tool answers as good as the real ones, per comparison")
FOLD_SECONDS = Metric("fold_seconds", "histogram", "folding of one batch, with its transaction")
LISTENERS = Metric("listeners", "gauge", "clients of the live feed")
LISTENERS_DROPPED = Metric("listeners_dropped_total", "counter", "clients that did not read, and were dropped")

WORKER_METRICS: tuple[Metric, ...] = (
    LAG, POSITION, OLDEST, RECORDS_OPEN, BYTES_OPEN, REPLAYS_OPEN, PARTITIONS, RECORDS, COMPARISONS, FLAGS,
    DEAD_LETTERS, COMMITS, COMMIT_SECONDS, DELIVERY_FAILURES, REBALANCES, KEPT, LOST, MODEL_SECONDS, MODEL_CALLS,
    MODEL_RETRIES, SPEND, UNPRICED, STUB_ANSWERS, COVERAGE,
)  # fmt: skip
FEED_METRICS: tuple[Metric, ...] = (
    LAG, POSITION, RECORDS, COMPARISONS, FLAGS, MODEL_SECONDS, MODEL_CALLS, MODEL_RETRIES, SPEND, UNPRICED,
    STUB_ANSWERS, COVERAGE, FOLD_SECONDS, LISTENERS, LISTENERS_DROPPED,
)  # fmt: skip
#: Every metric there is.
METRICS: tuple[Metric, ...] = tuple(dict.fromkeys((*WORKER_METRICS, *FEED_METRICS)))

_BUCKETS: Mapping[str, tuple[float, ...]] = {COVERAGE.name: (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)}


@dataclass(slots=True)
class Telemetry:
    """The metrics of one process, and its log."""

    log: FilteringBoundLogger
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    metrics: tuple[Metric, ...] = WORKER_METRICS
    _made: dict[str, Counter | Gauge | Histogram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for metric in self.metrics:
            self._made[metric.name] = _made(metric, self.registry)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        counter = cast(Counter, self._made[metric.name])
        (counter.labels(*labels) if metric.labels else counter).inc(by)

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        found = cast(Gauge, self._made[metric.name])
        (found.labels(*labels) if metric.labels else found).set(value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        found = cast(Histogram, self._made[metric.name])
        (found.labels(*labels) if metric.labels else found).observe(value)

    def forget(self, metric: Metric, *labels: str) -> None:
        """A label set that is not ours to report any more."""
        with_labels = self._made[metric.name]
        try:
            with_labels.remove(*labels)
        except KeyError:
            return

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

    def comparison(self, comparison: Comparison) -> None:
        """Count one published comparison."""
        self.count(COMPARISONS, comparison.lane, comparison.mode, comparison.disposition)
        for flag in comparison.flags:
            self.count(FLAGS, flag.rule, str(flag.severity))
        for grade, answers in comparison.coverage.grades.items():
            self.count(STUB_ANSWERS, grade, by=answers)
        if comparison.coverage.exact is not None:
            self.observe(COVERAGE, comparison.coverage.exact)
        side = comparison.replay
        self.count(MODEL_CALLS, by=side.model_calls)
        # A call that was never sent is none of the attempts.
        self.count(MODEL_RETRIES, by=max(0, comparison.attempts - side.model_calls))
        if side.model_latency_ns is not None:
            self.observe(MODEL_SECONDS, side.model_latency_ns / 1e9, comparison.mode)
        if side.cost_usd is not None:
            self.count(SPEND, by=float(side.cost_usd))
        elif side.model_calls:
            self.count(UNPRICED)


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name = f"shadow_replay_{metric.name}"
    if metric.kind == "counter":
        return Counter(name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(name, metric.help, metric.labels, registry=registry)
    return Histogram(name, metric.help, metric.labels, registry=registry, buckets=_BUCKETS.get(metric.name, _SECONDS))


# -- logs -------------------------------------------------------------------------------------------------------


def open_log(
    settings: Settings, stream: TextIO | None = None, *, least: int = logging.DEBUG, **bound: object
) -> FilteringBoundLogger:
    """A log to `stream` (standard error): text on a terminal, else a JSON object a line, each with `bound`.

    `least` is what a process is quiet below, whatever the settings say.
    """
    where = stream if stream is not None else sys.stderr
    as_text = settings.log == "text" or (settings.log == "auto" and where.isatty())
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=where.isatty()) if as_text else _json
    level = max(least, logging.getLevelNamesMapping()[settings.log_level.upper()])
    logger = structlog.wrap_logger(
        structlog.PrintLogger(where),
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper("iso", utc=True), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return cast(FilteringBoundLogger, logger.bind(**bound))


def relay_client_log(log: FilteringBoundLogger) -> None:
    """Put warnings of the Kafka client into our log, as events."""
    client = logging.getLogger("aiokafka")
    client.handlers = [_Relay(log)]
    client.setLevel(logging.WARNING)
    client.propagate = False


class _Relay(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "kafka_client", words=record.getMessage()[:500])


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Escaped to ASCII: whatever a trace holds, a log line can be written."""
    return json.dumps(event, default=str)
