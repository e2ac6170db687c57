"""`percept explain` says what the numbers tell, and no more."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, Run
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

import percept_cli
from percept_cli.outputs.explanation import explanation
from percept_cli.results import Result, Settings

PHOTOGRAPHS = Path(percept_cli.__file__).parent / "network/photographs"
TOLD = {"Edges": "moved", "Colour or": "recoloured", "Structure": "structure", "Colour and": "open"}


def changes(image: Image.Image) -> list[tuple[str, NDArray[np.uint8]]]:
    """Known changes: what may be said of each, and the changed image."""
    pixels = np.asarray(image)
    noise = np.random.default_rng(0).normal(0, 15, pixels.shape)
    return [
        ("moved", np.roll(pixels, (1, 1), (0, 1))),
        ("moved", np.roll(pixels, (3, 0), (0, 1))),
        ("recoloured", np.asarray(ImageEnhance.Brightness(image).enhance(0.8))),
        ("recoloured", np.asarray(ImageEnhance.Color(image).enhance(0.3))),
        ("recoloured", pixels[..., [1, 2, 0]]),
        ("structure", np.asarray(image.filter(ImageFilter.GaussianBlur(1.5)))),
        ("structure", (pixels + noise).clip(0, 255).astype(np.uint8)),
    ]


def test_known_changes_of_other_photographs_are_told_or_left_open() -> None:
    """The rules are of the sample images; what is among those is left out here."""
    outcomes: Counter[tuple[str, str]] = Counter()
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        if path.stem in ("coffee", "astronaut"):
            continue
        with Image.open(path) as photograph:
            image = photograph.convert("RGB").resize((128, 128))
        for what, changed in changes(image):
            result = percept_cli.compare(image, changed)
            text = " ".join(explanation(result, SETTINGS))
            (told,) = [word for start, word in TOLD.items() if f"{start} " in text]
            outcomes[what, told] += 1
    # docs/numbers.md says how many these are.
    right = sum(n for (what, told), n in outcomes.items() if what == told)
    left_open = sum(n for (_, told), n in outcomes.items() if told == "open")
    assert outcomes.total() == 42 and right >= 29 and left_open <= 12, outcomes
    assert 42 - right - left_open <= 1, outcomes


@pytest.fixture
def saved(percept: Run, tmp_path: Path) -> Path:
    percept("compare", SAMPLES / "references", SAMPLES / "edit-2", "-q", "--output", "r.json")
    return tmp_path / "r.json"


def test_a_local_change_is_told_with_its_place(percept: Run, saved: Path) -> None:
    done = percept("explain", saved, "dashboard.png")
    assert done.returncode == 0
    name, *sentences = done.stdout.splitlines()
    assert name.endswith("edit-2/dashboard.png") and 2 <= len(sentences) <= 3
    assert "It differs in one place" in done.stdout and "of the image" in done.stdout
    worst = percept("explain", saved).stdout
    pairs = json.loads(saved.read_text())["pairs"]
    assert worst.startswith(max(pairs, key=lambda pair: pair["peak"])["candidate"])


def test_a_name_that_is_not_there_is_said_with_the_nearest(percept: Run, saved: Path) -> None:
    done = percept("explain", saved, "dashbord.png")
    assert done.returncode == 2 and "did you mean dashboard.png?" in done.stderr
    done = percept("explain", saved, "else/dashboard.png")
    assert done.returncode == 2 and "no pair else/dashboard.png" in done.stderr


def test_a_failed_check_is_told_by_its_colour_and_its_threshold(
    percept: Run, tmp_path: Path
) -> None:
    pair = [SAMPLES / name / "dashboard.png" for name in ("references", "edit-2")]
    percept("check", *pair, "--json", "r.json")
    text = percept("explain", "r.json").stdout
    assert "colour does (2.7942) more than patterns (1.2412)" in text
    assert "It fails: peak 2.794 > 0.4." in text
    with Image.open(pair[0]) as image:
        pixels = np.asarray(image.convert("RGB"))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    longer = np.concatenate([pixels[:64], pixels[32:56], pixels[64:]])
    Image.fromarray(longer).save(tmp_path / "b.png")
    percept("check", "a.png", "b.png", "--json", "r.json")
    assert "24 rows inserted at y 64." in percept("explain", "r.json").stdout


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result("a.png", "b.png", "identical", 0.0, 0.0), "the same, pixel for pixel"),
        (Result("a.png", "b.png", "compared", 0.0, 0.0), "No layer sees a difference"),
        (Result("a.png", None, "missing"), "Only the reference is there"),
        (Result(None, "b.png", "new"), "Only the candidate is there"),
        (Result("a.png", "b.png", "error", error="b.png: gone"), "not be compared: b.png: gone."),
    ],
)
def test_what_has_no_numbers_is_told_by_its_status(result: Result, words: str) -> None:
    assert words in " ".join(explanation(result, SETTINGS))


def test_layers_of_other_recipes_are_named(percept: Run) -> None:
    pair = [SAMPLES / name for name in ("references/coffee.png", "jpeg-3/coffee.jpg")]
    percept("compare", *pair, "--preset", "quality", "--output", "r.json")
    text = percept("explain", "r.json").stdout
    assert "relu2_2, which sees edges and textures, has " in text and "differs most" not in text
    assert "relu3_4, which sees patterns, has " in text and "How visible: " in text
    percept("compare", *pair, "--raw", "--output", "r.json")
    raw = percept("explain", "r.json").stdout
    assert "shares of" not in raw and "differs most" in raw
    percept("compare", *pair, "--layers", "conv5_1", "--distance", "gram", "--output", "r.json")
    assert "conv5_1, which sees objects, has " in percept("explain", "r.json").stdout


SETTINGS = Settings.of(
    {
        "preset": "photo", "weights": "bundled", "weights_sha256": None, "layers": [],
        "layer_weights": {}, "distance": "l2", "blur": 0.0, "tolerance": 0, "floor": 0.0,
        "area": 0.0, "colour": 0.0, "shrink": 0, "scale": {"conv1_1": 70.0}, "resize": "reference",
        "align": "none",
        "size_tolerance": 0, "background": "white", "frame": None, "max_pixels": 1,
        "max_bytes": 1, "precision": "fp32", "device": None, "ignore": [],
        "percept_version": "", "scoring_version": 4, "torch_version": "",
    }
)  # fmt: skip
