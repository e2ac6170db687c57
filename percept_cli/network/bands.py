"""Sums over a network's features, of whole images or band by band with features computed twice.

A position's feature depends only on the pixels it sees. So a horizontal band of the images, grown
by what its positions see above and below, gives the features they have in the whole image; and
where the backward pass computes a band's features again (Chen et al. 2016), memory holds one band.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from percept_cli.network.layers import LAYERS, Layer
from percept_cli.network.vgg import VGG19

BAND_PIXELS = 1024 * 256
"""Pixels of a band's own rows, of each image: few rows of a wide one, and as many more around."""

Summed = Callable[..., Tensor]
"""Takes a layer's name, which of its rows these are, and each image's features of them."""


class Band(NamedTuple):
    """Rows of the images: those seen, and those whose positions count."""

    seen: slice
    own: slice

    def rows(self, layer: Layer) -> slice:
        """Rows of the layer that count."""
        return slice(self.own.start // layer.stride, self.own.stop // layer.stride)


def sums_over(
    network: VGG19, layers: Sequence[str], images: Sequence[Tensor], summed: Summed, banded: bool
) -> dict[str, Tensor]:
    """Sum over all positions of what `summed` makes of each layer's features of the images.

    The images are N×3×H×W, of one height, in [0, 1]. What `summed` gives must add up over rows.
    """
    height, width = images[0].shape[2:]
    if not banded:
        return dict(zip(layers, _sums(network, layers, summed, None, *images), strict=True))
    totals: tuple[Tensor, ...] = ()
    for band in bands(LAYERS[layers[-1]], height, width):
        part = partial(_sums, network, layers, summed, band)
        sums = checkpoint(part, *images, use_reentrant=False, preserve_rng_state=False)
        totals = tuple(map(torch.add, totals, sums)) if totals else sums
    return dict(zip(layers, totals, strict=True))


def bands(deepest: Layer, height: int, width: int) -> Iterator[Band]:
    """Bands from top to bottom that start at multiples of the layer's stride; one for `fc`."""
    if deepest.receptive_field is None:
        yield Band(slice(0, height), slice(0, height))
        return
    rows = max(BAND_PIXELS // width // deepest.stride, 1) * deepest.stride
    above = -(-deepest.reach_before // deepest.stride) * deepest.stride
    for top in range(0, height // deepest.stride * deepest.stride, rows):
        bottom = top + rows if top + rows + deepest.stride <= height else height
        yield Band(
            slice(max(top - above, 0), min(bottom + deepest.reach_after, height)),
            slice(top, bottom),
        )


def _sums(
    network: VGG19, layers: Sequence[str], summed: Summed, band: Band | None, *images: Tensor
) -> tuple[Tensor, ...]:
    # Without a band nothing is cut: a compiled loss then need not know the height.
    seen = images if band is None else [x[:, :, band.seen] for x in images]
    streams = [network.features(x, layers) for x in seen]
    sums = []
    for named in zip(*streams, strict=True):
        layer = LAYERS[named[0][0]]
        if band is None or layer.kind == "fc":
            own = here = slice(None)
        else:
            own = band.rows(layer)
            start = band.seen.start // layer.stride
            here = slice(own.start - start, own.stop - start)
        sums.append(summed(layer.name, own, *(f[:, :, here] for _, f in named)))
    return tuple(sums)
