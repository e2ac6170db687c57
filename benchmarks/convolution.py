"""Ways to compute VGG19's convolutions, each on a strip of a 1920×1080 frame as percept cuts it.

percept's own is computed by its workers, all others with torch's threads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measuring import machine, medians, table
from torch import Tensor
from torch.nn import functional

from percept_cli.network.convolution import convolve
from percept_cli.network.differences import STRIP_ELEMENTS
from percept_cli.network.workers import available, workers_of

SHAPES = (("conv1_2", 64, 64, 1920), ("conv2_1", 64, 128, 960), ("conv2_2", 128, 128, 960))
SHAPES += (("conv3_1", 128, 256, 480), ("conv3_2", 256, 256, 480), ("conv4_1", 256, 512, 240))
ROUNDS = 9


def ways(inputs: int, outputs: int, width: int) -> dict[str, Callable[[], object]]:
    """Each way to convolve a strip of this width."""
    rows = STRIP_ELEMENTS // (64 * 1920)
    x = torch.randn(1, inputs, rows + 2, width)
    weight, bias = torch.randn(outputs, inputs, 3, 3), torch.randn(outputs)
    last = [each.contiguous(memory_format=torch.channels_last) for each in (x, weight)]
    half = [each.bfloat16() for each in (*last, bias)]
    kernels, tiles = torch.randn(36, outputs, inputs), torch.randn(36, inputs, rows * width // 16)
    workers = workers_of(available())
    kernels16, tiles16 = kernels.bfloat16(), tiles.bfloat16()

    def direct() -> Tensor:
        return functional.conv2d(x, weight, bias, padding=(0, 1))

    found: dict[str, Callable[[], object]] = {
        "percept's Winograd": lambda: workers.run(lambda: convolve(x, weight, bias)),
        "direct": direct,
        "direct, channels-last": lambda: functional.conv2d(*last, bias, padding=(0, 1)),
        "direct, then ReLU": lambda: direct().relu_(),
        "direct, ReLU fused": lambda: torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, (0, 1), (1, 1), (1, 1), 1, "relu", [], ""
        ),
        "direct, bf16": lambda: functional.conv2d(*half, padding=(0, 1)),
        "Winograd's products": lambda: torch.bmm(kernels, tiles),
        "those in bf16": lambda: torch.bmm(kernels16, tiles16),
    }
    if torch.backends.nnpack.is_available():  # type: ignore[no-untyped-call]
        found["NNPACK"] = lambda: torch._nnpack_spatial_convolution(x, weight, bias, (0, 1))
    return found


def main() -> None:
    rows = []
    with torch.inference_mode():
        for name, inputs, outputs, width in SHAPES:
            seconds = medians(ways(inputs, outputs, width), ROUNDS)
            first = next(iter(seconds.values()))
            rows.append((name, *(f"{time / first:.2f}" for time in seconds.values())))
    print(f"Seconds over those of percept's own convolution, {machine()}\n")
    print(table(("layer", *seconds), rows))


if __name__ == "__main__":
    main()
