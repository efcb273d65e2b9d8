"""Metrics for Prometheus: what the stages say of themselves, and the errors by their codes."""

from collections.abc import Iterable, Iterator
from itertools import chain

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fire22.observability.sample import Measured

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Everything that `/metrics` shows.

    Args:
        error_codes: every code, so that each counter is there from the start.
    """

    def __init__(self, error_codes: Iterable[str]) -> None:
        self._stages: tuple[Measured, ...] = ()
        self._registry = CollectorRegistry()
        errors = Counter("fire22_errors", "Errors by code.", ["code"], registry=self._registry)
        self._errors = {code: errors.labels(code) for code in error_codes}
        self._registry.register(self)

    def show(self, *stages: Measured) -> None:
        """Show the samples of these stages, in this order."""
        self._stages = stages

    def count_error(self, code: str) -> None:
        """Count one error."""
        self._errors[code].inc()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for sample in chain.from_iterable(stage.samples() for stage in self._stages):
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
