"""What shards have found out about weights and device, put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from percept_cli.errors import PerceptError
from percept_cli.gate.merge import merged
from percept_cli.inputs.saved import Saved
from percept_cli.results import SCORING_VERSION, Result, Settings, Shard
from percept_cli.summary import Summary

SETTINGS = Settings(
    preset="rendering",
    weights="bundled",
    weights_sha256=None,
    layers=("conv1_1", "conv2_1"),
    layer_weights={"conv1_1": 1.0, "conv2_1": 1.0},
    distance="unit",
    blur=1.0,
    tolerance=1,
    floor=0.0,
    area=0.0,
    colour=0.0,
    shrink=0,
    scale=None,
    resize="none",
    align="auto",
    size_tolerance=0,
    background="white",
    frame=None,
    max_pixels=1000,
    max_bytes=1000,
    precision="fp32",
    device=None,
    ignore=(),
    percept_version="0.1.0",
    scoring_version=SCORING_VERSION,
    torch_version="2.6.0",
)


def shard(number: int, of: int, names: str, *, complete: bool = True, **settings: object) -> Saved:
    results = tuple(Result(name, name, "identical", 0.0, 0.0) for name in names)
    summary = Summary.over(results)
    summary.complete, summary.verdict = complete, "passed"
    made = replace(SETTINGS, shard=Shard(number, of, "p-r"), **settings)  # type: ignore[arg-type]
    return Saved(Path(f"{number}.json"), made, results, summary)


def test_results_stand_in_the_order_of_the_whole() -> None:
    whole = merged([shard(3, 3, "c"), shard(1, 3, "adf"[:2]), shard(2, 3, "be")])
    assert "".join(result.name for result in whole.results) == "abcde"
    assert whole.settings.shard is None and whole.summary.verdict == "passed"


def test_shards_that_needed_no_network_know_nothing_of_the_device() -> None:
    known = {"device": "cpu", "weights_sha256": "0" * 64}
    whole = merged(
        [
            shard(1, 3, "a"),
            shard(2, 3, "b", **known, scale={"conv2_1": 2.0}),
            shard(3, 3, "", **known, scale={"conv1_1": 1.0}),
        ]
    )
    assert (whole.settings.device, whole.settings.weights_sha256) == ("cpu", "0" * 64)
    assert list((whole.settings.scale or {}).items()) == [("conv1_1", 1.0), ("conv2_1", 2.0)]


def test_other_devices_are_refused_whichever_shards_know_theirs() -> None:
    shards = [shard(1, 3, "a"), shard(2, 3, "b", device="cpu"), shard(3, 3, "c", device="cuda:0")]
    with pytest.raises(PerceptError, match=r"3.json has device cuda:0, but 2.json device cpu"):
        merged(shards)


def test_an_interrupted_shard_leaves_the_whole_incomplete() -> None:
    whole = merged([shard(1, 2, "abc", complete=False), shard(2, 2, "defg")])
    assert whole.summary.verdict == "incomplete" and not whole.summary.complete
    assert "".join(result.name for result in whole.results) == "adbecfg"
    with pytest.raises(PerceptError, match=r"1/2 has 3, 2/2 has 4: run again"):
        merged([shard(1, 2, "abc"), shard(2, 2, "defg")])


def test_what_a_shard_could_not_write_the_whole_does_not_have() -> None:
    broken = shard(2, 2, "b")
    broken.summary.verdict = "incomplete"
    assert merged([shard(1, 2, "a"), broken]).summary.verdict == "incomplete"


def test_shards_are_grouped_alike() -> None:
    grouped = shard(2, 2, "b")
    grouped.summary.by = "quality"
    with pytest.raises(PerceptError, match=r"2.json is grouped --by quality, but 1.json by None"):
        merged([shard(1, 2, "a"), grouped])


def test_a_whole_without_anything_compared_does_not_pass() -> None:
    assert merged([shard(1, 2, ""), shard(2, 2, "")]).summary.verdict == "incomplete"
