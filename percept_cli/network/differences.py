"""Two images through the network together: the features of one, and how the other's differ.

What travels from layer to layer is a feature f and the change d = g − f, not f and g. A convolution
is linear, so the change is convolved by itself, without the bias; ReLU and pooling have formulas
for it that subtract no large numbers. So a difference is as exact as its own size allows, however
small it is beside the features: two nearly equal images lose nothing, equal pixels give exactly 0,
and it does not matter how a convolution rounds.

The images go through in horizontal strips, so that memory does not grow with their height and
most of it stays in the cache. A convolution needs a row above and one below: strips carry them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from percept_cli.network.convolution import convolve
from percept_cli.network.layers import POOLED, Layer
from percept_cli.network.vgg import VGG19

STRIP_ELEMENTS = 64 * 1920 * 24
"""Most elements of one strip: the measured balance of cache, calls and memory."""

Tap = Callable[[str, int, Tensor, Tensor], None]
"""Takes a layer's name, the first row, and feature and change from there on, both N×C×H×W."""


class Strip(NamedTuple):
    """Feature and change of some rows, N×C×H×W, with `margin` rows more above and below."""

    f: Tensor
    d: Tensor
    margin: int

    def own(self) -> tuple[Tensor, Tensor]:
        """Feature and change without the margin, which belongs to the neighbours."""
        if not self.margin:
            return self.f, self.d
        return self.f[:, :, 1:-1], self.d[:, :, 1:-1]


class Memory:
    """The convolved features of one base image, kept for the next image it is compared with."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Tensor] = {}

    def recall(self, layer: str, strip: int, compute: Callable[[], Tensor]) -> Tensor:
        """The feature of that layer's strip, computed if it is not known yet."""
        if (layer, strip) not in self._kept:
            self._kept[layer, strip] = compute()
        return self._kept[layer, strip]


def strip_rows(width: int) -> int:
    """Rows of an image of this width that go through at a time: a multiple of 12."""
    return max(STRIP_ELEMENTS // (64 * width) // 12 * 12, 12)


def tap_differences(
    network: VGG19,
    base: Tensor,
    change: Tensor,
    layers: Collection[str],
    tap: Tap,
    rows: int | None = None,
    memory: Memory | None = None,
) -> None:
    """Give `tap` the features of each of these layers, strip by strip from top to bottom.

    `base` holds N×3×H×W images in [0, 1] and `change` what must be added to them for the other
    images. A strip has `rows` rows of the image, a multiple of 12; all of them by default. A
    `memory` serves runs with the same base, layers and rows.
    """
    dtype = network.mean.dtype
    f = ((base - network.mean) / network.std).to(dtype)
    d = (change / network.std).to(dtype)
    strips = _cut(f, d, rows or f.shape[2])
    for layer, tapped in _plan(network.steps, layers):
        if layer.kind == "conv":
            strips = _convolved(strips, layer.name, *network.parameters_of(layer.name), memory)
        elif layer.kind == "relu":
            strips = _rectified(strips)
        elif layer.kind == "pool":
            strips = _pooled(strips)
        else:
            strips = _fully_connected(strips, layer.name, *network.parameters_of(layer.name))
        if tapped:
            strips = _tapped(strips, tapped, tap)
    for _ in strips:
        pass


def _plan(steps: tuple[Layer, ...], layers: Collection[str]) -> Iterator[tuple[Layer, str | None]]:
    """The steps, each with the name under which its outcome is asked for.

    A ReLU that only a pooling reads comes after it: the same values from a quarter of the work.
    """
    following = (*steps[1:], None)
    late: Layer | None = None
    for step, after in zip(steps, following, strict=True):
        wanted = step.name if step.name in layers else None
        if step.kind == "relu" and after and after.kind == "pool" and not wanted:
            late = step
        elif step.kind == "pool" and late:
            yield step, None
            yield late, wanted
            late = None
        else:
            yield step, wanted


def _cut(f: Tensor, d: Tensor, rows: int) -> Iterator[Strip]:
    for top in range(0, f.shape[2], rows):
        parts = f[:, :, top : top + rows], d[:, :, top : top + rows]
        strip = _room_for(f, *parts[0].shape[2:])
        for room, part in zip(strip.own(), parts, strict=True):
            room.copy_(part)
        yield strip


def _room_for(like: Tensor, rows: int, width: int) -> Strip:
    """A strip to be filled, with the other sizes and the memory format of `like`, N×C×H×W."""
    last = like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    shape = (like.shape[0], like.shape[1], rows + 2, width)
    f, d = (
        torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
        for _ in range(2)
    )
    return Strip(f, d, 1)


def _convolved(
    strips: Iterator[Strip], name: str, weight: Tensor, bias: Tensor, memory: Memory | None
) -> Iterator[Strip]:
    no_bias = torch.zeros_like(bias)
    current = next(strips, None)
    if current:
        for x in (current.f, current.d):
            x[:, :, 0] = 0
    for number in count():
        if current is None:
            return
        following = next(strips, None)
        _exchange(current, following)
        feature = partial(convolve, current.f, weight, bias)
        f = memory.recall(name, number, feature) if memory else feature()
        outcome = [Strip(f, convolve(current.d, weight, no_bias), 0)]
        current = following
        del f, feature
        # No name holds the outcome: while this waits, its reader may let go of it.
        yield outcome.pop()


def _exchange(strip: Strip, following: Strip | None) -> None:
    """Fill the rows that neighbouring strips see of each other; zero below the last."""
    if following is None:
        strip.f[:, :, -1] = 0
        strip.d[:, :, -1] = 0
        return
    for here, there in ((strip.f, following.f), (strip.d, following.d)):
        here[:, :, -1] = there[:, :, 1]
        there[:, :, 0] = here[:, :, -2]


def _rectified(strips: Iterator[Strip]) -> Iterator[Strip]:
    for strip in strips:
        f, d = strip.own()
        room = _room_for(f, *f.shape[2:])
        _rectify(f, d, room.own())
        del strip, f, d
        yield room


def _rectify(f: Tensor, d: Tensor, out: tuple[Tensor, Tensor]) -> None:
    """relu(f) and relu(f + d) − relu(f) into `out`.

    Where f > 0 the change is max(d, −f), elsewhere max(f + d, 0).
    """
    torch.clamp_min(f, 0, out=out[0])
    torch.maximum(f.clamp_max(0).add_(d), out[0].neg(), out=out[1])


def _pooled(strips: Iterator[Strip]) -> Iterator[Strip]:
    """2×2 maxima; two strips become one, so that a strip keeps its number of elements."""
    held: list[tuple[Tensor, Tensor]] = []
    for strip in strips:
        f, d = strip.own()
        rows = f.shape[2] // 2 * 2
        if rows:
            upper, lower = slice(0, rows, 2), slice(1, rows, 2)
            held.append(_larger(f[:, :, upper], d[:, :, upper], f[:, :, lower], d[:, :, lower]))
        del strip, f, d
        if len(held) == 2:
            yield _pooled_columns(held)
            held = []
    if held:
        yield _pooled_columns(held)


def _pooled_columns(parts: list[tuple[Tensor, Tensor]]) -> Strip:
    width = parts[0][0].shape[3]
    left, right = slice(0, width // 2 * 2, 2), slice(1, width // 2 * 2, 2)
    rows = sum(f.shape[2] for f, _ in parts)
    strip = _room_for(parts[0][0], rows, width // 2)
    top = 0
    for f, d in parts:
        pooled = _larger(f[..., left], d[..., left], f[..., right], d[..., right])
        for room, part in zip(strip.own(), pooled, strict=True):
            room[:, :, top : top + f.shape[2]] = part
        top += f.shape[2]
    return strip


def _larger(f: Tensor, d: Tensor, other_f: Tensor, other_d: Tensor) -> tuple[Tensor, Tensor]:
    """The larger feature at each position, and the change of what is larger.

    max(f + d, f' + d') − max(f, f'), with nothing large left to subtract.
    """
    largest = torch.maximum(f, other_f)
    return largest, torch.maximum(f - largest + d, other_f - largest + other_d)


def _fully_connected(
    strips: Iterator[Strip], name: str, weight: Tensor, bias: Tensor
) -> Iterator[Strip]:
    (strip,) = strips
    f, d = strip.own()
    if name == "fc6":
        f, d = (functional.adaptive_avg_pool2d(x, POOLED).flatten(1) for x in (f, d))
    else:
        rectified = torch.empty_like(f), torch.empty_like(d)
        _rectify(f, d, rectified)
        f, d = (x.flatten(1) for x in rectified)
    f, d = functional.linear(f, weight, bias), functional.linear(d, weight)
    yield Strip(f[..., None, None], d[..., None, None], 0)


def _tapped(strips: Iterator[Strip], name: str, tap: Tap) -> Iterator[Strip]:
    top = 0
    for strip in strips:
        f, d = strip.own()
        tap(name, top, f, d)
        top += f.shape[2]
        del f, d
        yield strip
