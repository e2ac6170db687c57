"""torchvision's models beside any torch: `from anyvision import models`.

A torchvision built for CUDA does not import beside a torch built for the CPU, because its compiled
operators are not there. The models need none of them, so they are only declared.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch

__all__ = ["lpips_of", "models"]

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

try:
    from torchvision import models
except RuntimeError as error:
    if "does not exist" not in str(error):
        raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        library.define(operator)
    from torchvision import models


def lpips_of(net: str) -> Any:
    """lpips (`pip install lpips`) with that network; its weights are random: that costs no time."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
