"""Metrics for Prometheus. Stages count in plain integers; they are read only when somebody asks."""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(Struct, frozen=True):
    """One number at this moment.

    Args:
        name: with its unit last; a counter's ends in `_total`.
        help: one sentence.
        value: now.
        labels: name and value.
    """

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}


class Metrics(Collector):
    """Everything that `/metrics` shows.

    Args:
        read: the samples of now.
        error_codes: every code, so that each counter is there from the start.
    """

    def __init__(self, read: Callable[[], Iterable[Sample]], error_codes: Iterable[str]) -> None:
        self._read = read
        self._registry = CollectorRegistry()
        errors = Counter("fire22_errors", "Errors by code.", ["code"], registry=self._registry)
        self._errors = {code: errors.labels(code) for code in error_codes}
        self._registry.register(self)

    def count_error(self, code: str) -> None:
        """Count one error."""
        self._errors[code].inc()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for sample in self._read():
            family = families.get(sample.name)
            if family is None:
                kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
                family = families[sample.name] = kind(
                    sample.name.removesuffix("_total"), sample.help, labels=list(sample.labels)
                )
            family.add_metric(list(sample.labels.values()), sample.value)
        yield from families.values()

    def describe(self) -> Iterable[Metric]:
        """Nothing before the first reading."""
        return ()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
