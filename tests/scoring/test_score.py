from __future__ import annotations

import dataclasses
import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from rounding import near

import percept_cli
from percept_cli.errors import OutOfMemory, PerceptError
from percept_cli.inputs import images as inputs_images
from percept_cli.inputs.images import Pixels
from percept_cli.inputs.pairs import Pair, pairs_of
from percept_cli.network.differences import Memory
from percept_cli.scoring import score
from percept_cli.scoring.measuring import Measuring
from percept_cli.scoring.meter import Meter
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

REFERENCE, CANDIDATE = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


@pytest.mark.numeric
def test_paths_images_and_arrays_give_the_same_numbers() -> None:
    images = [Image.open(path) for path in (REFERENCE, CANDIDATE)]
    arrays = [np.asarray(image) for image in images]
    floats = [array.astype(np.float64) / 255 for array in arrays]
    results = [
        percept_cli.compare(*pair)
        for pair in ([REFERENCE, CANDIDATE], [str(REFERENCE), images[1]], images, arrays, floats)
    ]
    assert len({result.total for result in results[:4]}) == 1
    assert results[4].total == near(results[0].total)
    assert results[0].candidate == str(CANDIDATE) and results[3].candidate is None


def test_compare_raises_what_the_command_says() -> None:
    with pytest.raises(PerceptError, match=r"nothing.png: no such file"):
        percept_cli.compare(REFERENCE, "nothing.png")
    with pytest.raises(PerceptError, match="unknown distance"):
        percept_cli.compare(REFERENCE, CANDIDATE, distance="l3")
    with pytest.raises(
        PerceptError, match="compared at 4x4, too small for conv4_1, which needs 8x8"
    ):
        percept_cli.compare(np.zeros((4, 4, 3)), np.ones((4, 4, 3)))


def test_results_do_not_depend_on_what_runs_ahead() -> None:
    pairs, _ = pairs_of(SAMPLES / "references", SAMPLES / "shift-1")
    scorer = Scorer(Options(layers=("conv1_1", "conv2_1")))
    runs = [[scored.result for _, scored in scorer.score(pairs, ahead)] for ahead in (0, 1, 8)]
    assert runs[0] == runs[1] == runs[2]
    assert [result.name for result in runs[0]] == sorted(result.name for result in runs[0])


def test_each_answer_comes_before_the_next_question() -> None:
    asked = []

    def questions() -> Iterator[Pair]:
        for number in range(3):
            asked.append(number)
            yield Pair(REFERENCE, REFERENCE, str(number))

    for number, _ in enumerate(Scorer(Options()).score(questions(), ahead=0)):
        assert asked == list(range(number + 1))


def test_few_pairs_are_read_ahead() -> None:
    asked = []

    def endless() -> Iterator[Pair]:
        while True:
            asked.append(Pair(REFERENCE, REFERENCE, ""))
            yield asked[-1]

    answers = Scorer(Options()).score(endless())
    next(answers)
    assert len(asked) == 2  # Nothing is known of their size yet.
    next(answers)
    assert len(asked) == score.AHEAD + 2
    answers.close()


@pytest.mark.parametrize(("quick", "here"), [(1e9, 30), (1e-9, 3)])
def test_equal_files_are_compared_here_while_that_is_quick(
    quick: float, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "QUICK", quick)
    begun, begin = [], Scorer._begin
    monkeypatch.setattr(Scorer, "_begin", lambda *args: begun.append(0) or begin(*args))
    pairs = [Pair(REFERENCE, REFERENCE, "")] * 30
    results = [scored.result for _, scored in Scorer(Options()).score(pairs)]
    assert [result.status for result in results] == ["identical"] * 30
    assert len(set(map(repr, results))) == 1
    assert len(begun) == 30 - here


def test_equal_colours_are_equal_at_any_depth() -> None:
    eight = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert percept_cli.compare(eight, eight / np.float32(255)).status == "identical"
    assert percept_cli.compare(eight, eight[::-1] / np.float32(255)).status == "compared"


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [(CANDIDATE, [2, 5, 5, 5, 5, 4, 3, 2, 2, 2, 2, 5]), (REFERENCE, [2] + [5] * 11)],
)
def test_large_images_hold_up_reading_ahead_while_they_are_decoded(
    candidate: Path, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "AHEAD_PIXELS", 256 * 256)
    ready = Measuring.ready
    # However long it takes to measure: only decoding is looked at.
    monkeypatch.setattr(Measuring, "ready", lambda self: self.wait() or ready(self))
    small, asked = tmp_path / "small.png", []
    Image.open(REFERENCE).resize((64, 64)).save(small)

    def pairs() -> Iterator[Pair]:
        for number in range(20):
            asked.append(number)
            large = number in (4, 5)
            yield Pair(*((REFERENCE, candidate) if large else (small, small)), str(number))

    options = Options(layers=("conv1_1",), device="cpu")
    answers = Scorer(options).score(pairs(), ahead=4)
    begun = [len(asked) - number for number, _ in enumerate(answers)]
    assert begun[:12] == expected


def test_equal_pixels_in_different_files_are_identical(tmp_path: Path) -> None:
    other = tmp_path / "coffee.bmp"
    Image.open(REFERENCE).save(other)
    result = percept_cli.compare(REFERENCE, other)
    assert (result.status, result.total, result.peak) == ("identical", 0, 0)
    assert dict(result.layers) == dict.fromkeys(Options().layers, 0)
    assert percept_cli.compare(REFERENCE, other, distance="gram").peak is None


def test_peak_is_a_place_in_the_image() -> None:
    image = np.asarray(Image.open(REFERENCE))
    edited = image.copy()
    edited[200:210, 30:40] = 0
    result = percept_cli.compare(image, edited)
    assert result.peak_at is not None
    x, y = result.peak_at
    assert 25 <= x <= 45 and 195 <= y <= 215


def test_python_has_the_options_of_the_command() -> None:
    parameters = inspect.signature(percept_cli.compare).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    fields = {field.name for field in dataclasses.fields(Options)}
    assert defaults.pop("workers") is None  # No option of a result: it changes none.
    assert set(defaults) == fields
    assert Options.of(**defaults) == Options()
    with pytest.raises(TypeError, match="unexpected keyword argument 'layer'"):
        percept_cli.compare(REFERENCE, CANDIDATE, layer="conv1_1")  # type: ignore[call-arg]


def test_float_images_in_different_ranges_are_refused(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for name, top in (("unit", 1), ("byte", 255)):
        Image.fromarray(values * np.float32(top)).save(tmp_path / f"{name}.tiff")
    with pytest.raises(PerceptError, match=r"byte.tiff: its values seem to lie in 0..255, the ref"):
        percept_cli.compare(tmp_path / "unit.tiff", tmp_path / "byte.tiff")


def test_a_pair_that_does_not_fit_into_memory_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Meter, "_run", full)
    same, other = Pair(REFERENCE, REFERENCE, "same"), Pair(REFERENCE, CANDIDATE, "other")
    results = [scored.result for _, scored in Scorer(Options()).score([other, same])]
    assert [result.status for result in results] == ["error", "identical"]
    assert f"{CANDIDATE}: out of memory even for" in str(results[0].error)


def test_pairs_that_fit_are_not_lost_with_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [tmp_path / f"{path.stem} {path.suffix[1:]}.png" for path in (REFERENCE, CANDIDATE)]
    for path, source in zip(large, (REFERENCE, CANDIDATE), strict=True):
        Image.open(source).resize((300, 300)).save(path)
    measure, groups = Meter.measure, []

    def limited(self: Meter, pairs: Sequence[tuple[Pixels, Pixels]], *more: Any) -> Any:
        groups.append(len(pairs))
        if any(len(reference) == 300 for reference, _ in pairs):
            raise OutOfMemory("out of memory")
        return measure(self, pairs, *more)

    monkeypatch.setattr(Meter, "measure", limited)
    small, options = (REFERENCE, CANDIDATE), Options(layers=("conv1_1",))
    scorer = Scorer(options)
    begun = [scorer._begin(Pair(*paths, "")) for paths in (small, large, small)]
    results = [scored.result for scored in scorer._finish(begun, options)]
    assert [result.status for result in results] == ["compared", "error", "compared"]
    assert results[1].error == f"{large[1]}: out of memory" and groups == [3, 1, 1, 1]


def test_pairs_measured_together_are_measured_as_alone(tmp_path: Path) -> None:
    with Image.open(REFERENCE) as image:
        corners = [np.array(image.convert("RGB")) for _ in range(2)]
    corners[0][:20, :20] //= 2
    corners[1][-40:, -40:] //= 2
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path, pixels in zip(paths, corners, strict=True):
        Image.fromarray(pixels).save(path)
    scorer = Scorer(Options(layers=("conv1_1", "conv2_1")))
    candidates = paths[0], REFERENCE, tmp_path / "absent.png", paths[1]
    begun = [scorer._begin(Pair(REFERENCE, path, "")) for path in candidates]
    together = scorer._finish(begun, scorer.options)
    alone = [scorer._finish([each], scorer.options)[0] for each in begun]
    assert [one.result for one in together] == [one.result for one in alone]
    first, *others, last = (one.result.peak_at for one in together)
    assert others == [None, None] and first and last
    assert max(first) < 20 and min(last) >= 216


def test_a_file_with_broken_exif_costs_its_own_pair_only(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        files.append(tmp_path / f"{number}.png")
        with Image.open((REFERENCE, CANDIDATE)[number]) as image:
            image.convert("RGB").save(files[-1], exif=b"Exif\0\0XX")
    pairs = [(files[0], files[1]), (files[0], files[0]), (None, files[0]), (REFERENCE, CANDIDATE)]
    options = Options(layers=("conv1_1",))
    found = Scorer(options).score(Pair(*pair, "") for pair in pairs)
    results = [scored.result for _, scored in found]
    assert [result.status for result in results] == ["error"] * 3 + ["compared"]
    assert all("0.png: damaged image (" in str(result.error) for result in results[:3])


def test_what_is_resized_or_only_looked_at_counts_in_reading_ahead() -> None:
    large = Scorer(Options(resize="1024", layers=("conv1_1",)))
    small = Scorer(Options(resize="64", layers=("conv1_1",)))
    pair, same = Pair(REFERENCE, CANDIDATE, ""), Pair(REFERENCE, REFERENCE, "")
    assert [scorer._begin(pair).held for scorer in (large, small)] == [1024**2, 256**2]
    assert [scorer._begin(same).held for scorer in (large, small)] == [256**2 // 8] * 2
    assert large._begin(Pair(None, REFERENCE, "")).held == 256**2 // 8


def test_pairs_that_are_ready_are_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, groups = Meter.measure, []
    monkeypatch.setattr(
        Meter, "measure", lambda *args: groups.append(len(args[1])) or measure(*args)
    )
    monkeypatch.setattr(Meter, "together", 3 * 256 * 256)
    scorer = Scorer(Options(layers=("conv1_1",)))
    begun = scorer._begin(Pair(REFERENCE, CANDIDATE, ""))
    pair, waiting = Pair(REFERENCE, CANDIDATE, ""), deque[Any]()
    for ready in (True, True, True, True, True, False, True):
        future: Future[Any] = Future()
        if ready:
            future.set_result(begun)
        waiting.append((pair, future))
    measuring = Measuring(in_turn=False)
    counts = [scorer._hand_on(waiting, deque(), measuring) for _ in range(2)]
    assert len(list(measuring.rest())) == 5 and counts == groups == [3, 2]
    assert len(waiting) == 2 and not waiting[0][1].done()


def test_one_reference_is_decoded_and_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 200, 160, 3), np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    decoded, computed = list[str](), list[tuple[str, int]]()
    decode, recall = inputs_images.decoded, Memory.recall

    def recalled(self: Memory, layer: str, top: int, compute: Any) -> Any:
        return recall(self, layer, top, lambda: (computed.append((layer, top)), compute())[1])

    monkeypatch.setattr(
        inputs_images, "decoded", lambda *args: decoded.append(args[1]) or decode(*args)
    )
    monkeypatch.setattr(Memory, "recall", recalled)
    pairs = [Pair(files[0], file, "") for file in files[1:]]
    scorer = Scorer(Options(), one_reference=True, workers=3)
    results = [scored.result for _, scored in scorer.score(pairs)]
    assert sorted(decoded) == [str(file) for file in files]
    assert computed and len(set(computed)) == len(computed)
    # With one reference it is always the base, else whichever comes first.
    alone = [percept_cli.compare(files[0], file).total for file in files[1:]]
    assert [result.total for result in results] == pytest.approx(alone, rel=1e-5)
