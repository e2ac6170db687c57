"""What must hold for every distance, on real photographs."""

from __future__ import annotations

import copy
from dataclasses import replace
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REFERENCES, SAMPLES
from PIL import Image
from rounding import near, rounding, terms_through, worst
from torchvision_weights import random_weights

import percept_cli
from percept_cli.errors import OutOfMemory, PerceptError
from percept_cli.inputs.images import Pixels
from percept_cli.inputs.pairs import Pair
from percept_cli.network import differences
from percept_cli.network.displacement import put_back
from percept_cli.network.distances import BY_DEPTH, DISTANCES
from percept_cli.network.layers import LAYERS
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load
from percept_cli.scoring import cells, meter, meters
from percept_cli.scoring.devices import Capacity, capacity_of
from percept_cli.scoring.meter import Measurement, Meter, frozen_network
from percept_cli.scoring.options import Options
from percept_cli.scoring.regions import Crop, Rectangle
from percept_cli.scoring.score import Scorer

CHANGED = SAMPLES / "jpeg-2"
ALL = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")


def pixels(name: str, folder: str = "references") -> Pixels:
    with Image.open(SAMPLES / folder / name) as image:
        return np.asarray(image.convert("RGB"))


REFERENCE = pixels("coffee.png")[40:171, 30:193]
CANDIDATE = pixels("coffee.jpg", "jpeg-2")[40:171, 30:193]


def measure(reference: Pixels, candidate: Pixels, **options: Any) -> Measurement:
    return Meter(Options(**options)).measure([(reference, candidate)])[0]


def in_float64(options: Options) -> Meter:
    """A meter in which rounding is far too little to hide anything else."""
    meter = Meter(options)
    meter._network = copy.deepcopy(meter._network).double()
    return meter


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_an_image_against_itself_is_exactly_zero(distance: str) -> None:
    measured = measure(REFERENCE, REFERENCE.copy(), distance=distance)
    assert measured.total == 0 and set(measured.layers.values()) == {0}
    assert measured.map is None or not measured.map.any()


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_swapping_the_images_changes_nothing(distance: str) -> None:
    one = measure(REFERENCE, CANDIDATE, distance=distance)
    other = measure(CANDIDATE, REFERENCE, distance=distance)
    assert (one.total, one.layers) == (other.total, other.layers)
    assert np.array_equal(one.map, other.map) if one.map is not None else other.map is None


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_a_difference_is_seen_in_every_layer(distance: str) -> None:
    measured = measure(REFERENCE, CANDIDATE, distance=distance, layers=ALL)
    assert tuple(measured.layers) == ALL
    assert all(value > 0 for value in measured.layers.values())
    mean = np.mean(list(measured.layers.values()))
    assert measured.total == pytest.approx(mean, rel=worst(len(ALL), torch.float64))


@pytest.mark.parametrize("distance", ["l2", "l1", "mse", "unit"])
def test_the_map_is_where_the_difference_is(distance: str) -> None:
    edited = REFERENCE.copy()
    edited[96:104, 48:56] = 255 - edited[96:104, 48:56]
    measured = measure(REFERENCE, edited, distance=distance)
    assert measured.map is not None and measured.map.shape == (131 // 8, 163 // 8)
    row, column = np.unravel_index(measured.map.argmax(), measured.map.shape)
    assert abs(row - 12) <= 1 and abs(column - 6) <= 1
    assert measured.map[:4].max() == 0
    assert measured.map.max() > 5 * measured.total


@pytest.mark.numeric
def test_map_of_one_layer_pools_to_its_distance() -> None:
    for distance in ("l2", "l1", "mse", "unit"):
        measured = measure(REFERENCE, CANDIDATE, distance=distance, layers=("conv4_1",))
        root = DISTANCES[distance].root
        assert measured.map is not None
        pooled = np.sqrt(np.mean(measured.map**2)) if root else np.mean(measured.map)
        room = worst(measured.map.size, torch.float64)
        assert measured.total == pytest.approx(pooled, rel=room)


@pytest.mark.numeric
def test_layer_weights_make_the_total() -> None:
    measured = measure(REFERENCE, CANDIDATE, layer_weights={"conv1_1": 0.0, "conv4_1": 3.0})
    by_hand = (
        measured.layers["conv2_1"] + measured.layers["conv3_1"] + 3 * measured.layers["conv4_1"]
    )
    assert measured.total == pytest.approx(by_hand / 5, rel=worst(4, torch.float64))


@pytest.mark.numeric
def test_raw_distances_are_unscaled() -> None:
    scaled, raw = measure(REFERENCE, CANDIDATE), measure(REFERENCE, CANDIDATE, raw=True)
    scale = Meter(Options()).scale
    for name, value in scaled.layers.items():
        # Squared, divided, the root taken and multiplied, in float64.
        assert raw.layers[name] == pytest.approx(value * scale[name], rel=worst(4, torch.float64))


@pytest.mark.numeric
def test_bfloat16_is_near_float32() -> None:
    exact = measure(REFERENCE, CANDIDATE)
    rounded = measure(REFERENCE, CANDIDATE, precision="bf16")
    # Each of 9 convolutions rounds what it takes, its weights and what it gives, in one of the two.
    room = rounding(3 * 9, torch.bfloat16) / 2
    assert rounded.total == pytest.approx(exact.total, rel=room)
    assert rounded.total != exact.total


@pytest.mark.numeric
def test_deeper_images_compare_with_eight_bit_ones() -> None:
    deep = percept_cli.compare(REFERENCE, CANDIDATE / np.float32(255))
    assert deep.total == near(measure(REFERENCE, CANDIDATE).total)


def test_a_process_has_one_network_of_a_kind() -> None:
    Meter(Options(distance="l1")), Meter(Options(distance="unit", layers=("conv1_1", "conv4_1")))
    cpu = torch.device("cpu")
    assert frozen_network(load("bundled"), "conv4_1", cpu, "fp32") is Meter(Options())._network


def whole_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network see every image in one piece."""

    def one(_: Any, __: Any, size: tuple[int, int], *___: Any) -> list[Crop]:
        return [Crop(Rectangle(0, 0, *size), Rectangle(0, 0, *size))]

    monkeypatch.setattr(meter, "crops", one)


def edited(rng: np.random.Generator, image: Pixels) -> Pixels:
    """The image with a few patches of noise, some at its borders and corners."""
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 3))):
        rows, columns = rng.integers(1, 12, 2)
        top = int(rng.choice((0, height - rows, rng.integers(0, height - rows))))
        left = int(rng.choice((0, width - columns, rng.integers(0, width - columns))))
        patch = image[top : top + rows, left : left + columns]
        patch[:] = rng.integers(0, 256, patch.shape)
    return image


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_crops_and_tiles_give_what_the_whole_frame_gives(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    source = np.tile(pixels("chelsea.png"), (2, 2, 1))
    for deepest in ("conv1_2", "relu2_1", "pool2", "conv4_1", "pool5"):
        layers = ALL[: ALL.index(deepest) + 1]
        height, width = rng.integers(40, 330, 2)
        image = source[:height, :width]
        pair = image, edited(rng, image)
        options = Options(distance=distance, layers=layers)
        cropped, tiled = in_float64(options), in_float64(options)
        tiled._capacity = Capacity(width=64, height=96, together=0, strips=True)
        found = [each.measure([pair])[0] for each in (cropped, tiled)]
        with monkeypatch.context() as patched:
            whole_frame(patched)
            (whole,) = cropped.measure([pair])
        for measured in found:
            check_same(measured, whole, deepest)


def check_same(measured: Measurement, expected: Measurement, deepest: str) -> None:
    """They are equal but for rounding in float64, in every layer and every cell."""
    assert measured.layers == near(expected.layers, deepest, torch.float64)
    room = worst(terms_through(deepest), torch.float64)
    assert measured.map is None or measured.map == pytest.approx(expected.map, rel=room, abs=room)


@pytest.mark.parametrize("distance", ["l2", "unit"])
@pytest.mark.parametrize("layers", [("conv1_1",), ("pool1",), ("conv1_1", "conv2_1", "conv4_1")])
@pytest.mark.parametrize(("blur", "tolerance"), [(1.0, 0), (0.0, 1), (1.0, 2)])
def test_blur_and_tolerance_are_exact_on_crops_and_tiles(
    distance: str,
    layers: tuple[str, ...],
    blur: float,
    tolerance: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    image = np.tile(pixels("coffee.png"), (1, 2, 1))[:203, :307]
    pair = image, edited(rng, image)
    options = Options(distance=distance, layers=layers, blur=blur, tolerance=tolerance)
    plain, tiled = in_float64(options), in_float64(options)
    tiled._capacity = Capacity(width=64, height=96, together=0, strips=True)
    monkeypatch.setattr(meter, "strip_rows", lambda _: 16)
    (cropped,), (in_tiles,) = plain.measure([pair]), tiled.measure([pair])
    (swapped,) = plain.measure([pair[::-1]])
    whole_frame(monkeypatch)
    (whole,) = plain.measure([pair])
    assert whole.total > 0
    for measured in (cropped, in_tiles, swapped):
        check_same(measured, whole, layers[-1])


def test_blur_and_tolerance_forgive_small_displacements() -> None:
    moved = np.roll(REFERENCE, 1, axis=1)
    plain = measure(REFERENCE, moved, layers=("conv1_1",)).total
    for choices in ({"blur": 2.0}, {"tolerance": 1}):
        forgiven = measure(REFERENCE, moved, layers=("conv1_1",), **choices).total
        assert forgiven < 0.6 * plain, choices


@pytest.mark.parametrize("tolerance", [1, 3])
def test_a_tolerance_forgives_what_either_way_of_comparing_explains(tolerance: int) -> None:
    options = Options(distance="unit", layers=("conv1_1", "conv3_1"))
    back = put_back(REFERENCE, CANDIDATE, tolerance)
    pairs = (REFERENCE, CANDIDATE), (REFERENCE, back)
    ways = in_float64(options).measure(pairs)
    tolerant = in_float64(replace(options, tolerance=tolerance))
    (measured,) = tolerant.measure(pairs[:1])
    for name, distance in measured.layers.items():
        assert 0 < distance < min(way.layers[name] for way in ways)
    one_layer = Options(distance="unit", layers=("conv3_1",))
    maps = [way.map for way in in_float64(one_layer).measure(pairs)]
    (measured,) = in_float64(replace(one_layer, tolerance=tolerance)).measure(pairs[:1])
    assert measured.map == near(np.minimum(*maps), "conv3_1", torch.float64)


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_pairs_measured_together_give_what_each_gives_alone(distance: str) -> None:
    rng = np.random.default_rng(3)
    images = [pixels("coffee.png")[:96, :96], pixels("chelsea.png")[:96, :96], REFERENCE]
    pairs = [(image, edited(rng, image)) for image in images] + [(REFERENCE, CANDIDATE)]
    alone, together = (in_float64(Options(distance=distance)) for _ in range(2))
    together._capacity = Capacity(width=128, height=128, together=3 * 96 * 96, strips=False)
    for pair, measured in zip(pairs, together.measure(pairs), strict=True):
        check_same(measured, alone.measure([pair])[0], "conv4_1")


@pytest.mark.numeric
@pytest.mark.parametrize(
    "capacity", [capacity_of(torch.device("cpu")), capacity_of(torch.device("cuda"))]
)
def test_a_remembered_reference_is_computed_once_for_the_same_numbers(
    capacity: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(distance="unit")
    kept = Meter(options, one_reference=True)
    kept._capacity = capacity
    candidates = [CANDIDATE, 255 - REFERENCE, CANDIDATE]
    expected = [measure(REFERENCE, candidate, distance="unit").layers for candidate in candidates]
    calls, convolve = [], differences.convolve
    monkeypatch.setattr(differences, "convolve", lambda *args: calls.append(0) or convolve(*args))
    found = kept.measure([(REFERENCE, candidate) for candidate in candidates])
    for measured, layers in zip(found, expected, strict=True):
        assert measured.layers == near(layers)
    convolutions = sum(LAYERS[name].kind == "conv" for name in ALL[: ALL.index("conv4_1") + 1])
    # Where pairs go together, the changes of all candidates do.
    assert len(calls) == convolutions * (1 + (1 if capacity.together else len(candidates)))
    kept._capacity, known = replace(capacity, width=64, height=80), []
    for candidate, layers in zip(candidates, expected, strict=True):
        calls.clear()
        (measured,) = kept.measure([(REFERENCE, candidate)])
        assert measured.layers == near(layers)
        known.append(len(calls) // convolutions)
    assert known[0] == 2 * known[1] == 2 * known[2] >= 12  # Six tiles.
    monkeypatch.setattr(meter, "KEPT_BYTES", 0)
    monkeypatch.setattr(meter, "free_bytes", lambda _: 0)
    frugal = Meter(options, one_reference=True)
    frugal.measure([(REFERENCE, CANDIDATE)])
    assert frugal._remembered is None


@pytest.mark.parametrize("distance", ["l2", "gram", "correlation", "appearance"])
def test_what_is_counted_at_the_end_of_a_pair_comes_in_one_transfer(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measure(REFERENCE, CANDIDATE, distance=distance)
    transfers, join = [], cells.cat
    monkeypatch.setattr(cells, "cat", lambda parts: transfers.append(len(parts)) or join(parts))
    late, tally = Meter(Options(distance=distance)), cells.Tally
    late._capacity = replace(late._capacity, width=64, height=64)
    monkeypatch.setattr(meter, "Tally", lambda _: tally(10**9))
    several = late.measure([(REFERENCE, CANDIDATE)] * 2)
    assert len(transfers) == 2 and min(transfers) > 4
    # What waits is bounded.
    monkeypatch.setattr(meter, "Tally", lambda _: tally(1))
    bounded = late.measure([(REFERENCE, CANDIDATE)])
    assert set(transfers[2:]) == {1} and bounded[0].layers == several[0].layers
    late._capacity = late._largest
    (measured,) = late.measure([(REFERENCE, CANDIDATE)])
    assert (measured.layers, measured.total) == (expected.layers, expected.total)
    assert several[0].layers == several[1].layers == near(expected.layers)


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_no_value_is_read_from_a_device_before_a_pair_is_done(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor on `meta` has none: whoever reads one gets an error."""
    on_meta = Meter(Options(distance=distance), torch.device("meta"))
    tallies: list[cells.Tally] = []
    monkeypatch.setattr(Meter, "_finished", lambda _, pair: tallies.append(pair.tally))
    on_meta.measure([(REFERENCE, CANDIDATE), (REFERENCE[:64, :64], CANDIDATE[:64, :64])])
    assert len(tallies) == 2
    for tally in tallies:
        with pytest.raises(NotImplementedError, match="meta"):
            tally.finish()


def test_two_devices_share_the_pairs_and_give_what_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = [Pair(one, CHANGED / f"{one.stem}.jpg", one.stem) for one in REFERENCES] * 2
    options = Options(layers=("conv1_1", "conv2_1"))
    expected = [scored.result for _, scored in Scorer(options).score(pairs)]
    monkeypatch.setattr(meters, "devices_named", lambda _: [torch.device("cpu")] * 2)
    measured, used, both = Meter.measure, set[int](), Barrier(2)

    def noted(self: Meter, *arguments: Any) -> list[Measurement]:
        if id(self) not in used:
            used.add(id(self))
            both.wait(60)  # At the same time, or never.
        return measured(self, *arguments)

    monkeypatch.setattr(Meter, "measure", noted)
    assert [scored.result for _, scored in Scorer(options).score(pairs)] == expected
    assert len(used) == 2


def test_tf32_is_only_where_there_is_any() -> None:
    with pytest.raises(PerceptError, match="--precision tf32: cpu has none, NVIDIA's GPUs since"):
        Meter(Options(precision="tf32"))


def test_batches_hold_so_many_pixels_and_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    run, sizes = Meter._run, []
    monkeypatch.setattr(
        Meter, "_run", lambda self, jobs: sizes.append(len(jobs)) or run(self, jobs)
    )
    grouped = Meter(Options(layers=("conv1_1",)))
    for most, expected in ((0, [1] * 20), (7 * 16 * 16, [7, 7, 6]), (1 << 22, [16, 4])):
        grouped._capacity = Capacity(width=64, height=64, together=most, strips=False)
        sizes.clear()
        grouped.measure([(REFERENCE[:16, :16], CANDIDATE[:16, :16])] * 20)
        assert sizes == expected


@pytest.mark.numeric
@pytest.mark.parametrize("strips", [True, False])
def test_fully_connected_layers_see_large_images_a_part_at_a_time(
    strips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights()
    monkeypatch.setattr(meter, "load", lambda _: weights)
    network = VGG19(weights, "fc7")
    monkeypatch.setattr(meter, "frozen_network", lambda *_: network)
    monkeypatch.setattr(meter, "strip_rows", lambda _: 16)
    options = Options(layers=("conv1_1", "fc6", "fc7"), weights="torchvision", raw=True)
    parts, whole = Meter(options), Meter(options)
    parts._capacity = Capacity(width=64, height=48, together=0, strips=strips)
    whole._capacity = Capacity(width=512, height=512, together=0, strips=False)
    rows, cut = [], differences._cut
    monkeypatch.setattr(differences, "_cut", lambda *a: rows.append(a[3]) or cut(*a))
    one, other = (each.measure([(REFERENCE, CANDIDATE)])[0] for each in (parts, whole))
    assert rows == [16 if strips else 64 * 48 // 163, 512 * 512 // 163]
    assert one.layers == near(other.layers, "fc7")
    assert all(one.layers.values())


@pytest.mark.numeric
def test_out_of_memory_means_smaller_tiles_then_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds `room` pixels, as far as the code around it can tell."""
    run, sizes, room = Meter._run, [], 15_000

    def limited(self: Meter, jobs: Any) -> None:
        pixels_seen = sum(crop.seen.pixels for _, crop in jobs)
        sizes.append(pixels_seen)
        if pixels_seen > room:
            raise torch.OutOfMemoryError("out of memory")
        run(self, jobs)

    expected = measure(REFERENCE, CANDIDATE)
    monkeypatch.setattr(Meter, "_run", limited)
    small = Meter(Options())
    small._capacity = Capacity(width=1024, height=1024, together=1 << 22, strips=False)
    first, second = small.measure([(REFERENCE, CANDIDATE)] * 2)
    assert sizes[0] > room >= sizes[-1]
    assert first.layers == second.layers == near(expected.layers)
    room = 1
    with pytest.raises(OutOfMemory, match="out of memory even for 64x64 pixels"):
        small.measure([(REFERENCE, CANDIDATE)])
    room = 10**9
    small.measure([(REFERENCE, CANDIDATE)])
    assert sizes[-1] == REFERENCE.size // 3  # What did not fit does not slow down others.


def test_out_of_memory_lets_go_of_a_remembered_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, run, held = Meter(Options(), one_reference=True), Meter._run, []
    kept.measure([(REFERENCE, CANDIDATE)])

    def once(self: Meter, jobs: Any) -> None:
        held.append(self._remembered)
        if len(held) == 1:
            raise torch.OutOfMemoryError("out of memory")
        run(self, jobs)

    monkeypatch.setattr(Meter, "_run", once)
    (measured,) = kept.measure([(REFERENCE, CANDIDATE)])
    assert held[0] is not None and held[1] is None
    assert measured.layers == near(measure(REFERENCE, CANDIDATE).layers)


def test_weights_that_do_not_fit_are_an_error_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(meter, "frozen_network", full)
    with pytest.raises(PerceptError, match="out of memory on cpu for the weights alone"):
        Meter(Options())


def test_the_floor_is_taken_from_the_map_and_nothing_else() -> None:
    large = np.tile(REFERENCE, (4, 4, 1))
    noisy = np.random.default_rng(0).normal(large, 4).clip(0, 255).astype(np.uint8)
    plain, floored = (measure(large, noisy, floor=floor) for floor in (0.0, 9.0))
    assert plain.map is not None and floored.map is not None
    assert plain.floor == 0 < floored.floor < plain.map.max()
    taken = (plain.map - floored.map)[floored.map > 0]
    with_content = taken > 0
    assert np.allclose(taken[with_content], floored.floor)
    assert 0 < with_content.sum() < with_content.size
    assert measure(large, noisy, floor=floored.floor / 2).floor == floored.floor / 2
    assert (floored.total, floored.layers) == (plain.total, plain.layers)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1.0])
def test_a_measurement_is_finite_where_total_and_map_are(value: float) -> None:
    fine = np.isfinite(value)
    assert Measurement({}, value, None).finite == fine
    assert Measurement({}, 1.0, np.full((2, 2), value)).finite == fine
    assert Measurement({}, value, np.ones((2, 2))).finite == fine


def test_another_threads_reference_is_never_taken_for_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, equal = Meter(Options(layers=("relu1_1",)), one_reference=True), np.array_equal
    expected = kept.measure([(REFERENCE, CANDIDATE)])
    another: tuple[Pixels, dict[Rectangle, differences.Memory]] = 255 - REFERENCE, {}

    def meanwhile(one: Pixels, other: Pixels) -> bool:
        found = equal(one, other)
        kept._remembered = another
        return found

    kept.measure([(another[0], CANDIDATE)])
    another = kept._remembered or another
    kept.measure([(REFERENCE, CANDIDATE)])
    monkeypatch.setattr(np, "array_equal", meanwhile)
    assert kept.measure([(REFERENCE.copy(), CANDIDATE)])[0].layers == expected[0].layers
