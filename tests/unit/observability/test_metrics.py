"""What `/metrics` shows: the samples of the stages, and the errors by their codes."""

from collections.abc import Iterator

from fire22.observability.metrics import Metrics
from fire22.observability.sample import Sample


class Stage:
    """A stage that has counted something."""

    def __init__(self, name: str, lag: int) -> None:
        self.name = name
        self.lag = lag

    def samples(self) -> Iterator[Sample]:
        """Its own lag, and how often it was asked."""
        yield Sample("fire22_lag", "How far it is behind.", self.lag, {"stage": self.name})
        yield Sample(f"fire22_{self.name}_total", "How many there were.", 7)


def lines(metrics: Metrics) -> list[str]:
    """What is exposed, without when counters began."""
    return [line for line in metrics.text().decode().splitlines() if "_created" not in line]


def test_samples_of_one_name_are_one_family() -> None:
    """Stages that know nothing of each other say the same figure of themselves: Prometheus finds one, with labels."""
    metrics = Metrics(["not_found"])
    metrics.show(Stage("log", 1), Stage("hub", 2))
    found = lines(metrics)
    assert found.count("# TYPE fire22_lag gauge") == 1
    assert {'fire22_lag{stage="log"} 1.0', 'fire22_lag{stage="hub"} 2.0', "fire22_log_total 7.0"} <= set(found)


def test_a_stage_is_asked_when_somebody_looks() -> None:
    """Counting costs nothing until then, and what is shown is of now."""
    stage, metrics = Stage("log", 1), Metrics([])
    metrics.show(stage)
    stage.lag = 5
    assert 'fire22_lag{stage="log"} 5.0' in lines(metrics)


def test_errors_are_counted_by_their_code() -> None:
    """Every code is there from the start, so that an alarm on its rate has something to look at."""
    metrics = Metrics(["not_found", "overloaded"])
    metrics.count_error("overloaded")
    assert {'fire22_errors_total{code="not_found"} 0.0', 'fire22_errors_total{code="overloaded"} 1.0'} <= set(
        lines(metrics)
    )
