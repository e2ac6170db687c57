"""The fastest 3×3 convolution at float32 accuracy that torch has here.

On x86, torch carries NNPACK, whose Winograd and FFT convolutions take a half to a quarter of the
multiplications of a direct one; benchmarks/README.md has the figures. Where it is missing or does
not pay, torch's own convolution serves.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

PAYS = {64: 4096, 128: 2048}
"""Input channels → positions from which NNPACK is faster: it transforms the kernels every time."""


@cache
def has_nnpack() -> bool:
    """Whether NNPACK works on this machine; asking also makes it ready."""
    try:
        ready: bool = torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
        if ready:
            torch._nnpack_spatial_convolution(
                torch.zeros(1, 16, 8, 8), torch.zeros(16, 16, 3, 3), torch.zeros(16), (0, 1)
            )
    except (AttributeError, RuntimeError):
        return False
    return ready


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3×3 convolution that pads columns but not rows: N×C×(H+2)×W → N×K×H×W."""
    channels, positions = x.shape[1], (x.shape[2] - 2) * x.shape[3]
    if (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and channels >= 64
        and positions >= PAYS.get(channels, 1024)
        and has_nnpack()
    ):
        # It is fast for single images only.
        parts = [
            torch._nnpack_spatial_convolution(image, weight, bias, (0, 1))
            for image in x.chunk(x.shape[0])
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
    return functional.conv2d(x, weight, bias, padding=(0, 1))
