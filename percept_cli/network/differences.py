"""Two images through the network together: the features of one, and how the other's differ.

What travels from layer to layer is a feature f and the change d = g − f, not f and g. A convolution
is linear, so the change is convolved by itself, without the bias; ReLU and pooling have formulas
for it that subtract no large numbers. So a difference is as exact as its own size allows, however
small it is beside the features: two nearly equal images lose nothing, equal pixels give exactly 0,
and it does not matter how a convolution rounds.

The images go through in horizontal strips, so that memory does not grow with their height. A
convolution's last row needs a row that has not come yet: it stays behind for the next strip. While
a strip travels on, no generator here keeps a name for it: what yields `outcome.pop()` lets go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from percept_cli.network.blur import blur_radius, blurred
from percept_cli.network.convolution import convolve
from percept_cli.network.layers import ORDER, POOLED, Layer
from percept_cli.network.vgg import VGG19
from percept_cli.network.workers import piece, share

DEEPEST_BY_WINOGRAD = "relu5_2"
"""The deepest layer for which convolutions may round as Winograd's do: it adds up with depth."""

STRIP_ELEMENTS = 64 * 1920 * 36
"""Most elements of one strip: the measured balance of cache, calls and memory."""

Tap = Callable[[str, int, Tensor, Tensor], None]
"""Takes a layer's name, the first row, and feature and change from there on, both N×C×H×W."""


class Window(NamedTuple):
    """The only positions that can differ: from left and top up to, not with, right and bottom."""

    left: int
    top: int
    right: int
    bottom: int

    def at(self, layer: Layer) -> Window:
        """Positions of the layer that see a pixel of this window of the image."""
        left, top = (max(start - layer.reach_after, 0) for start in self[:2])
        right, bottom = (end + layer.reach_before for end in self[2:])
        side = layer.stride
        return Window(left // side, top // side, -(-right // side), -(-bottom // side))

    def inside(self, top: int, rows: int, columns: int) -> tuple[slice, slice]:
        """Which of so many rows, from `top` on, and of so many columns are in this window."""
        first, last = max(self.top - top, 0), max(self.bottom - top, 0)
        return slice(first, min(last, rows)), slice(self.left, min(self.right, columns))


class Strip(NamedTuple):
    """Feature and change of some rows of a layer, N×C×H×W."""

    f: Tensor
    d: Tensor
    top: int
    """The strip's first row, counted in the layer."""
    total: int
    """Rows of the whole layer."""
    padded: bool = False
    """Whether there is room around the strip's own rows for those a convolution needs."""

    @property
    def above(self) -> int:
        """Rows of room above: one for the padding of the image, else two of the strip before."""
        return (1 if self.top == 0 else 2) if self.padded else 0

    @property
    def rows(self) -> int:
        """The strip's own rows."""
        return min(self.f.shape[2] - self.above, self.total - self.top)

    @property
    def is_last(self) -> bool:
        return self.top + self.rows == self.total

    def own(self) -> tuple[Tensor, Tensor]:
        """Feature and change of the strip's own rows."""
        rows = slice(self.above, self.above + self.rows)
        return self.f[:, :, rows], self.d[:, :, rows]


class Memory:
    """The convolved features of one base image, kept for the next image it is compared with."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Tensor] = {}

    def recall(self, layer: str, top: int, compute: Callable[[], Tensor]) -> Tensor:
        """The feature of a layer's strip, computed if it is not known yet."""
        if (layer, top) not in self._kept:
            self._kept[layer, top] = compute()
        return self._kept[layer, top]


def strip_rows(width: int) -> int:
    """Rows of an image of this width that go through at a time."""
    return max(STRIP_ELEMENTS // (64 * width), 16)


def tap_differences(
    network: VGG19,
    base: Tensor,
    other: Tensor,
    layers: Collection[str],
    tap: Tap,
    rows: int | None = None,
    memory: Memory | None = None,
    changed: Window | None = None,
    blur: float = 0.0,
    only_changes: bool = False,
) -> None:
    """Give `tap` the features of each of these layers, strip by strip from top to bottom.

    Both hold N×3×H×W images, uint8 in 0..255 or floating point in [0, 1]; `other` may hold k·N, of
    which the first N belong to the base's in order, and so do the next: features come N at a time,
    changes k·N. A strip has `rows` rows of the image, all of them by default. A `memory` serves
    runs with the same base and rows. Outside the window `changed` all images are equal to the base,
    once a Gaussian of `blur` pixels has smoothed them. With `only_changes` the feature of the
    deepest layer may be NaN, where no change depends on it.
    """
    changed = changed or Window(0, 0, base.shape[3], base.shape[2])
    deepest = max(layers, key=ORDER.index)
    direct = ORDER.index(deepest) > ORDER.index(DEEPEST_BY_WINOGRAD)
    strips = _cut(network, base, other, rows or base.shape[2], blur)
    window = changed
    for layer, tapped in network.plan(layers):
        if layer.kind in ("conv", "pool"):
            window = changed.at(layer)  # A ReLU has the positions of what it comes after.
        if layer.kind == "conv":
            convolution = _Convolution(
                layer.name,
                *network.parameters_of(layer.name),
                memory,
                window,
                direct,
                only_changes and layer.name == deepest,
            )
            strips = _convolved(strips, convolution)
        elif layer.kind == "relu":
            strips = _rectified(strips, window)
        elif layer.kind == "pool":
            strips = _pooled(strips, window)
        else:
            strips = _fully_connected(strips, layer.name, *network.parameters_of(layer.name))
        if tapped:
            strips = _tapped(strips, tapped, tap)
    for _ in strips:
        pass


def _cut(network: VGG19, base: Tensor, other: Tensor, rows: int, blur: float) -> Iterator[Strip]:
    """The images' strips, normalised one by one: whole images stay as small as they came."""
    top_value = 255 if base.dtype == torch.uint8 else 1
    total, exact = base.shape[2], torch.promote_types(network.dtype, torch.float32)
    for top in range(0, total, rows):
        above = min(top, blur_radius(blur))
        seen = slice(top - above, top + rows + blur_radius(blur))
        x, y = (image[:, :, seen].to(exact) for image in (base, other))
        change = y - _for_each(x, y)
        if blur:
            own = slice(above, above + rows)
            x, change = (blurred(image, blur)[:, :, own] for image in (x, change))
        f = ((x / top_value - network.mean) / network.std).to(
            network.dtype, memory_format=network.layout
        )
        strip = _room_for(f, len(change), f.shape[2], f.shape[3], top, total)
        for room, part in zip(strip.own(), (f, change / top_value / network.std), strict=True):
            room.copy_(part)
        yield strip


def _layout(like: Tensor) -> torch.memory_format:
    """Also of a part of the rows, which is contiguous in neither format."""
    return torch.channels_last if like.stride(1) == 1 else torch.contiguous_format


def _for_each(f: Tensor, d: Tensor) -> Tensor:
    """A feature for each change: those of the base once more for each further other image."""
    return f if len(f) == len(d) else f.repeat(len(d) // len(f), 1, 1, 1)


def _room_for(like: Tensor, changes: int, rows: int, width: int, top: int, total: int) -> Strip:
    """A padded strip to be filled, with the other sizes and the memory format of `like`."""
    layout = _layout(like)
    around = (1 if top == 0 else 2) + (top + rows == total)
    f, d = (
        torch.empty(
            (count, like.shape[1], rows + around, width),
            dtype=like.dtype,
            device=like.device,
            memory_format=layout,
        )
        for count in (len(like), changes)
    )
    return Strip(f, d, top, total, padded=True)


class _Convolution(NamedTuple):
    """A convolution of a feature and its change."""

    layer: str
    weight: Tensor
    bias: Tensor
    memory: Memory | None
    changed: Window
    direct: bool
    only_change: bool

    def of(self, strip: Strip) -> Strip:
        """The strip of the outcome that a strip with its room filled is enough for."""
        top = max(strip.top - 1, 0)
        if self.only_change:
            d = self._change(strip.d, top)
            unknown = d.new_full((1, 1, 1, 1), math.nan).expand(len(strip.f), *d.shape[1:])
            return Strip(unknown, d, top, strip.total)
        feature = partial(convolve, strip.f, self.weight, self.bias, self.direct)
        if self.memory:
            feature = partial(self.memory.recall, self.layer, top, feature)
        found: dict[str, Tensor] = {}
        share(
            [
                lambda: found.update(f=feature()),
                lambda: found.update(d=self._change(strip.d, top)),
            ]
        )
        return Strip(found["f"], found["d"], top, strip.total)

    def _change(self, d: Tensor, top: int) -> Tensor:
        """The change, computed only where it can be other than 0; N×C×(H+2)×W → N×K×H×W."""
        no_bias, width = torch.zeros_like(self.bias), d.shape[3]
        rows, columns = self.changed.inside(top, d.shape[2] - 2, width)
        left, right = columns.start, columns.stop
        if (rows.start, rows.stop, left, right) == (0, d.shape[2] - 2, 0, width):
            return convolve(d, self.weight, no_bias, self.direct)
        shape = d.shape[0], self.weight.shape[0], d.shape[2] - 2, width
        change = torch.zeros_like(d[:1, :1, :1, :1].expand(shape), memory_format=_layout(d))
        if rows.start < rows.stop:
            seen = slice(max(left - 1, 0), min(right + 1, width))
            part = d[:, :, rows.start : rows.stop + 2, seen]
            part = convolve(part, self.weight, no_bias, self.direct)
            own = slice(left - seen.start, right - seen.start)
            change[:, :, rows, left:right] = part[..., own]
        return change


def _convolved(strips: Iterator[Strip], convolution: _Convolution) -> Iterator[Strip]:
    behind: tuple[Tensor, ...] = ()
    for strip in strips:
        behind = _surround(strip, behind)
        outcome = [convolution.of(strip)] if strip.f.shape[2] > 2 else []
        del strip
        while outcome:
            yield outcome.pop()


def _surround(strip: Strip, behind: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Fill the rows around a strip; the rows that the next one needs of this."""
    for place, x in enumerate((strip.f, strip.d)):
        x[:, :, : strip.above] = behind[place] if behind else 0
        if strip.is_last:
            x[:, :, -1] = 0
    return () if strip.is_last else (strip.f[:, :, -2:].clone(), strip.d[:, :, -2:].clone())


def _rectified(strips: Iterator[Strip], changed: Window) -> Iterator[Strip]:
    for strip in strips:
        f, d = strip.own()
        room = _room_for(f, len(d), strip.rows, f.shape[3], strip.top, strip.total)
        inside = changed.inside(strip.top, *f.shape[2:])
        _by_channels(partial(_rectify, inside), f, d, *room.own())
        outcome = [room]
        del strip, f, d, room
        yield outcome.pop()


def _by_channels(work: Callable[..., object], *tensors: Tensor) -> None:
    """Do what concerns each channel by itself for groups of them, which workers may share."""
    channels = piece(tensors[0], tensors[0].shape[1])
    groups = zip(*(torch.split(x, channels, 1) for x in tensors), strict=True)
    share([partial(work, *group) for group in groups])


def _changed(inside: tuple[slice, slice], change: Tensor, *others: Tensor) -> list[Tensor]:
    """These rows and columns of all, once the change is 0 in all others."""
    rows, columns = inside
    parts = [x[:, :, rows, columns] for x in (change, *others)]
    if parts[0].numel() < change.numel():
        change.zero_()
    return parts


def _rectify(
    inside: tuple[slice, slice], f: Tensor, d: Tensor, rectified: Tensor, change: Tensor
) -> None:
    """relu(f) into `rectified`, and inside of these positions relu(f + d) − relu(f) into `change`.

    Where f > 0 the change is max(d, −f), elsewhere max(f + d, 0): both are
    max(min(f, 0) + d, −relu(f)), computed in place, since fresh memory costs more than arithmetic.
    """
    torch.clamp_min(f, 0, out=rectified)
    change, f, d, rectified = _changed(inside, change, f, d, rectified)
    torch.clamp_max(_for_each(f, d), 0, out=change).add_(d).neg_()
    torch.minimum(change, _for_each(rectified, d), out=change).neg_()


def _pooled(strips: Iterator[Strip], changed: Window) -> Iterator[Strip]:
    """2×2 maxima; two strips become one, so that a strip keeps its number of elements.

    Outside of the window `changed` of pooled positions there is no change.
    """
    by_rows = changed._replace(left=2 * changed.left, right=2 * changed.right)
    held: list[tuple[Tensor, Tensor]] = []
    odd: tuple[Tensor, Tensor] | None = None
    top = strips_held = 0
    for strip in strips:
        total, (f, d) = strip.total // 2, strip.own()
        if odd and strip.rows:
            inside = by_rows.inside(top + _rows(held), 1, f.shape[3])
            held.append(_larger(inside, *odd, f[:, :, :1], d[:, :, :1]))
        f, d = (x[:, :, 1 if odd else 0 :] for x in (f, d))
        even = f.shape[2] // 2 * 2
        upper, lower = slice(0, even, 2), slice(1, even, 2)
        inside = by_rows.inside(top + _rows(held), even // 2, f.shape[3])
        held.append(_larger(inside, f[:, :, upper], d[:, :, upper], f[:, :, lower], d[:, :, lower]))
        odd = (f[:, :, even:].clone(), d[:, :, even:].clone()) if even < f.shape[2] else None
        del strip, f, d
        strips_held += 1
        rows = _rows(held)
        if rows and (strips_held == 2 or top + rows == total):
            outcome = [_pooled_columns(held, rows, top, total, changed)]
            held, strips_held, top = [], 0, top + rows
            yield outcome.pop()


def _rows(parts: list[tuple[Tensor, Tensor]]) -> int:
    return sum(f.shape[2] for f, _ in parts)


def _pooled_columns(
    parts: list[tuple[Tensor, Tensor]], rows: int, top: int, total: int, changed: Window
) -> Strip:
    width = parts[0][0].shape[3]
    left, right = slice(0, width // 2 * 2, 2), slice(1, width // 2 * 2, 2)
    strip = _room_for(parts[0][0], len(parts[0][1]), rows, width // 2, top, total)
    place = 0
    for f, d in parts:
        inside = changed.inside(top + place, f.shape[2], width // 2)
        pooled = _larger(inside, f[..., left], d[..., left], f[..., right], d[..., right])
        for room, part in zip(strip.own(), pooled, strict=True):
            room[:, :, place : place + f.shape[2]] = part
        place += f.shape[2]
    return strip


def _larger(
    inside: tuple[slice, slice], f: Tensor, d: Tensor, other_f: Tensor, other_d: Tensor
) -> tuple[Tensor, Tensor]:
    """The larger feature at each position, and inside of those the change of what is larger.

    max(f + d, f' + d') − max(f, f'), with nothing large left to subtract.
    """
    largest, change = torch.empty_like(f), torch.empty_like(d)
    _by_channels(partial(_find_larger, inside), f, d, other_f, other_d, largest, change)
    return largest, change


def _find_larger(
    inside: tuple[slice, slice],
    f: Tensor,
    d: Tensor,
    other_f: Tensor,
    other_d: Tensor,
    largest: Tensor,
    change: Tensor,
) -> None:
    torch.maximum(f, other_f, out=largest)
    change, f, d, other_f, other_d, largest = _changed(
        inside, change, f, d, other_f, other_d, largest
    )
    one, other = (_for_each(x - largest, y).add_(y) for x, y in ((f, d), (other_f, other_d)))
    torch.maximum(one, other, out=change)


def _fully_connected(
    strips: Iterator[Strip], name: str, weight: Tensor, bias: Tensor
) -> Iterator[Strip]:
    if name == "fc6":
        f, d = _averaged(strips)
    else:
        (strip,) = strips
        f, d = torch.empty_like(strip.f), torch.empty_like(strip.d)
        _rectify((slice(None), slice(None)), strip.f, strip.d, f, d)
    f, d = (x.flatten(1) for x in (f, d))
    f, d = functional.linear(f, weight, bias), functional.linear(d, weight)
    yield Strip(f[..., None, None], d[..., None, None], 0, 1)


def _averaged(strips: Iterator[Strip]) -> tuple[Tensor, ...]:
    """Adaptive averages of POOLED positions: a sum over strips, each position with its share."""
    sums: tuple[Tensor, ...] = ()
    for strip in strips:
        parts = strip.own()
        down, across = (
            functional.adaptive_avg_pool1d(torch.eye(length).to(strip.f)[None], POOLED)[0]
            for length in (strip.total, strip.f.shape[3])
        )
        rows = down[strip.top : strip.top + strip.rows]
        averages = [torch.einsum("nchw,hi,wj->ncij", x, rows, across) for x in parts]
        sums = tuple(map(torch.add, sums, averages)) if sums else tuple(averages)
    return sums


def _tapped(strips: Iterator[Strip], name: str, tap: Tap) -> Iterator[Strip]:
    for strip in strips:
        tap(name, strip.top, *strip.own())
        outcome = [strip]
        del strip
        yield outcome.pop()
