"""What is not a finite number is an error, never a small distance; names stay in their rows."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch

from percept_cli.network.distances import BY_DEPTH, DISTANCES
from percept_cli.outputs.csv_writer import CsvWriter
from percept_cli.results import Result
from percept_cli.scoring.meter import Meter
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

ONE, OTHER = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
@pytest.mark.parametrize("tolerance", [0, 1])
def test_features_that_overflow_are_an_error(
    distance: str, tolerance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tolerance and (distance in BY_DEPTH or not DISTANCES[distance].has_positions):
        pytest.skip("it has no positions")
    made = Meter.__init__

    def overflowing(self: Meter, *arguments: object, **more: object) -> None:
        made(self, *arguments, **more)  # type: ignore[arg-type]
        # The network is shared by all meters, and by the tests that follow.
        sound = self._network.parameters_of
        huge = lambda name: tuple(part * 1e20 for part in sound(name))  # noqa: E731
        monkeypatch.setattr(self._network, "parameters_of", huge)

    monkeypatch.setattr(Meter, "__init__", overflowing)
    scorer = Scorer(Options(distance=distance, tolerance=tolerance, raw=True))
    with pytest.raises(Exception, match="features too large for their numbers"):
        scorer.compare(ONE, OTHER)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("place", ["feature", "change"])
def test_no_distance_hides_a_value_that_is_not_finite(place: str, value: float) -> None:
    for name, distance in {**DISTANCES, "root": BY_DEPTH["appearance"].deep}.items():
        f, d = torch.ones(1, 4, 3, 3), torch.ones(1, 4, 3, 3) / 2
        (f if place == "feature" else d)[0, 1, 1, 1] = value
        if place == "feature" and name in ("l2", "l1", "mse"):
            continue  # The change alone counts there: where it is finite, so is the distance.
        sums = distance.sums(f, d, 1.0)
        assert not distance.finished(sums, 9, 1.0).isfinite().all(), name


def test_formulas_are_text_where_that_is_asked_for() -> None:
    for safe, shown in ((False, "=1+1"), (True, "'=1+1")):
        stream = io.StringIO(newline="")
        settings = Scorer(Options()).settings
        CsvWriter(stream, settings, safe=safe).write(Result("=1+1", "b", "new", total=None))
        stream.seek(0)
        (row,) = csv.DictReader(stream)
        assert (row["reference"], row["candidate"]) == (shown, "b")


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b,c.png', "=1+1.png"])
def test_a_name_stays_in_its_row(name: str) -> None:
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream, lambda: Scorer(Options()).settings())
    for _ in range(2):
        writer.write(Result(name, name, "missing"))
    stream.seek(0)
    assert [row["candidate"] for row in csv.DictReader(stream)] == [name, name]
