"""torchvision's models beside any torch: `from anyvision import models`.

A torchvision built for CUDA does not import beside a torch built for the CPU, because its compiled
operators are not there. The models need none of them, so they are only declared.
"""

from __future__ import annotations

import sys

import torch

__all__ = ["models"]

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
