"""What a result tells, in two or three sentences, from its numbers alone and as far as they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from percept_cli.canvas import bands_in_words
from percept_cli.outputs.words import figure, jnd_words
from percept_cli.results import Result, Settings

SHADES, EDGES, SHAPES = "conv1_1", "conv2_1", "conv4_1"
LAYERS = (SHADES, EDGES, "conv3_1", SHAPES)
"""Layers of which it is known how changes show in them, as the preset `photo` compares them."""

# Shares of a layer in the mean of these four, put where the sample images' distortions need them;
# tests/cli/test_explain.py tries them on photographs that are not among these.
MOVED = 0.7
"""Share of shapes up to which what changed is where edges are."""
ELSEWHERE = 1.15
"""Share of edges from which that is so."""
RECOLOURED = 1.3
"""Share of shades from which what changed is colour or lightness."""
STRUCTURE = 0.85
"""Share of shades up to which what changed is structure."""

WIDE = 0.5
"""Share of the image from which it differs nearly everywhere."""

SEES = {
    "1": "colours and the finest texture",
    "2": "edges and textures",
    "3": "patterns",
    "4": "shapes",
    "5": "objects",
    "6": "what is in the image as a whole",
    "7": "what is in the image as a whole",
    "8": "what is in the image as a whole",
}
"""What layers see, by the number in their names."""


def explanation(result: Result, settings: Settings) -> Iterator[str]:
    """Sentences: what became of the pair, where it differs, and what the layers tell."""
    if result.error:
        yield f"It could not be compared: {result.error}."
    elif result.status == "missing":
        yield "Only the reference is there: the candidate is gone."
    elif result.status == "new":
        yield "Only the candidate is there: it is new, or its reference is gone."
    elif not result.bands and not (result.total or result.peak):
        same = result.status == "identical"
        yield "Both show the same, pixel for pixel." if same else "No layer sees a difference."
    else:
        yield from _seen(result, settings)
    if result.failures and result.status == "failed":
        yield f"It fails: {'; '.join(result.failures)}."


def _seen(result: Result, settings: Settings) -> Iterator[str]:
    if result.bands:
        yield f"{'; '.join(bands_in_words(result.bands))}."
    if result.peak and result.regions:
        yield f"It differs {_where(result)}."
    if result.layers and (result.total or result.peak):
        yield _what(result, settings)
    if result.jnd:
        yield f"How visible: {jnd_words(result.jnd)}."


def _where(result: Result) -> str:
    area = (result.width or 1) * (result.height or 1)
    share = min(sum(region.width * region.height for region in result.regions) / area, 1)
    count = len(result.regions)
    if share >= WIDE:
        return "nearly everywhere"
    first = result.regions[0]
    place = f"{first.width}x{first.height} pixels at {first.x},{first.y}"
    part = f"{share:.0%} of the image" if share >= 0.01 else "less than 1% of the image"
    if count == 1:
        return f"in one place, {place}, {part}"
    return f"in at least {count} places, {part}; most in {place}"


def _what(result: Result, settings: Settings) -> str:
    """What the layers tell."""
    colour = result.peak_parts.get("colour", 0.0)
    rest = max((v for name, v in result.peak_parts.items() if name != "colour"), default=0.0)
    # Patterns in a large area make a peak that is above their own cell's, and may be above colour.
    if colour > max(rest, 0.999 * (result.peak or 0)):
        return (
            f"Where it differs most, colour does ({figure(colour)}) more than patterns "
            f"({figure(rest)}): something has another colour, or was added or removed there."
        )
    layers = result.layers
    if _is_plain(settings) and not result.overrides and tuple(layers) == LAYERS and result.total:
        return _by_profile(layers)
    if settings.distance == "appearance":
        # What it is differs between layers: they have no order.
        said = (f"{name}, which sees {_sees(name)}, has {figure(v)}" for name, v in layers.items())
        return f"{'; '.join(said)}."
    most, least = max(layers, key=layers.__getitem__), min(layers, key=layers.__getitem__)
    if most == least:
        return f"{most}, which sees {_sees(most)}, has {figure(layers[most])}."
    return (
        f"{most}, which sees {_sees(most)}, differs most ({figure(layers[most])}), {least}, which "
        f"sees {_sees(least)}, least ({figure(layers[least])})."
    )


def _is_plain(settings: Settings) -> bool:
    """Whether pairs were compared as those from which the rules come."""
    changed = settings.blur or settings.tolerance or settings.shrink
    scaled = settings.scale and any(scale != 1 for scale in settings.scale.values())
    return bool(
        settings.distance == "l2" and settings.weights == "bundled" and scaled and not changed
    )


def _by_profile(layers: Mapping[str, float]) -> str:
    mean = sum(layers.values()) / len(layers)
    shares = {name: value / mean for name, value in layers.items()}
    said = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    if shares[SHAPES] <= MOVED and shares[EDGES] >= ELSEWHERE:
        told = "Edges are elsewhere and shapes the same: something moved by a few pixels"
    elif shares[SHADES] >= RECOLOURED:
        told = "Colour or lightness changed more than structure: it was recoloured or relit"
    elif shares[SHADES] <= STRUCTURE:
        told = (
            "Structure changed more than colour: detail was lost or added, as by blur, noise, "
            "compression, or other content"
        )
    else:
        told = "Colour and structure changed about alike, which does not tell what happened"
    return f"{told} (shares of the layers' mean: {said})."


def _sees(layer: str) -> str:
    return SEES.get(next(filter(str.isdecimal, layer), ""), "something else")
