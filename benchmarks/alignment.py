"""Pages with rows inserted, removed and moved at random places: are these found, and how fast?

A band counts as found to the pixel if it has the length and kind of the one that was made, and
its place is one that gives the same two images: between equal rows no place is the right one.
"""

from __future__ import annotations

import time

import numpy as np
from measuring import machine, table
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from percept_cli.canvas import canvas_of
from percept_cli.results import Band
from percept_cli.scoring.alignment import aligned

PAGES = 200
NOISE = 2
"""Levels that every pixel of a noisy page differs by at most, of 255."""
LARGE = 1280, 20_000
WORDS = ("layer", "feature", "distance", "total", "peak", "baseline", "threshold")


def page(random: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Headings, paragraphs, panels and rules on white, with blank rows between them."""
    picture = Image.new("RGB", (width, height), "white")
    draw, y = ImageDraw.Draw(picture), 20
    while y < height - 80:
        kind = random.integers(4)
        if kind == 0:
            colour = tuple(int(value) for value in random.integers(60, 230, 3))
            draw.rectangle((20, y, width - 20, y + 50), fill=colour)
            draw.text(
                (30, y + 15), _words(random, 3), fill="white", font=ImageFont.load_default(18)
            )
            y += 50
        elif kind == 1:
            draw.line((20, y, width - 20, y), fill=(200, 200, 200))
        else:
            for _ in range(random.integers(1, 6)):
                words = _words(random, width // 90)
                draw.text((20, y), words, fill=(30, 30, 30), font=ImageFont.load_default(13))
                y += 18
        y += int(random.integers(8, 40))
    return np.asarray(picture)


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(f"{word}{random.integers(100)}" for word in random.choice(WORDS, count))


def changed(
    random: np.random.Generator, before: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], list[tuple[str, int]]]:
    """The page with one to three changes, apart from one another, and their kinds and lengths."""
    height, width = before.shape[:2]
    places = random.choice(np.arange(20, height - 110, 130), 4, replace=False)
    places += random.integers(0, 30, 4)
    made, gone, come = [], np.zeros(height, bool), {}
    for place in places[: random.integers(1, 4)]:
        kind = str(random.choice(["inserted", "removed", "moved"]))
        length = int(random.integers(9, 90))
        rows = before[place : place + length]
        if kind == "inserted":
            come[int(place)] = page(random, width, length + 200)[40 : 40 + length]
        else:
            gone[place : place + length] = True
        if kind == "moved":
            if int(places[3]) in come:
                kind = "removed"  # One thing came there already.
            else:
                come[int(places[3])] = rows
        made.append((kind, length))
    parts = []
    for place in range(height):
        parts += list(come.get(place, ()))
        parts += [] if gone[place] else [before[place]]
    return np.stack(parts), made


def fits(before: NDArray[np.uint8], after: NDArray[np.uint8], bands: tuple[Band, ...]) -> bool:
    """Whether what is left without the bands is equal, and what moved is."""
    canvas = canvas_of(bands, (after.shape[1], after.shape[0]))
    moved = [band for band in bands if band.kind == "moved"]
    same = np.array_equal(canvas.shared(before, of_reference=True), canvas.shared(after))
    return same and all(
        np.array_equal(before[slice(*b.reference)], after[slice(*b.candidate)]) for b in moved
    )


def lengths(bands: tuple[Band, ...]) -> dict[str, int]:
    """How many rows of each kind."""
    found = dict.fromkeys(("inserted", "removed", "moved"), 0)
    for band in bands:
        spans = (band.reference, band.candidate)
        found[band.kind] += max(end - first for first, end in spans)
    return found


def main() -> None:
    """Print the shares found, and the times of large pages."""
    random = np.random.default_rng(0)
    exact, seconds = 0, []
    for _ in range(PAGES):
        before = page(random, 640, int(random.integers(600, 1600)))
        after, made = changed(random, before)
        started = time.perf_counter()
        bands = aligned(before, after, "rows").bands
        seconds.append(time.perf_counter() - started)
        wanted = lengths(())
        for kind, length in made:
            wanted[kind] += length
        exact += lengths(bands) == wanted and fits(before, after, bands)
    rows = [
        (
            f"{PAGES} pages of 640 px, one to three changes each",
            f"{exact} to the pixel",
            f"{max(seconds):.2f} s at most",
        )
    ]
    before = page(random, *LARGE)
    after, made = changed(random, before)
    noise = random.integers(-NOISE, NOISE + 1, after.shape)
    noisy = (after + noise).clip(0, 255).astype(np.uint8)
    other = page(random, LARGE[0], LARGE[1] + 100)
    size = "{}×{}".format(*LARGE)
    for name, candidate in (
        (f"{size}, {len(made)} changes", after),
        (f"the same, with noise of ±{NOISE} levels", noisy),
        (f"{size} against another page", other),
    ):
        started = time.perf_counter()
        bands = aligned(before, candidate, "rows").bands
        rows.append((name, f"{len(bands)} bands", f"{time.perf_counter() - started:.2f} s"))
    print(f"{machine()}\n\n{table(('pages', 'found', 'time'), rows)}")


if __name__ == "__main__":
    main()
