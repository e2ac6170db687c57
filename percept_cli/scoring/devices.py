"""Which device computes, and how exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from percept_cli.errors import PerceptError


def device_named(name: str) -> torch.device:
    """The device of that name, or for `auto` the accelerator that is there, else the CPU.

    Raises PerceptError for a device that this machine or this torch does not have.
    """
    there = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return there or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise PerceptError(f"unknown device {name!r}: give auto, cpu, cuda, cuda:1, mps") from error
    if device.type != "cpu":
        count = torch.accelerator.device_count() if there and there.type == device.type else 0
        if (device.index or 0) >= count:
            raise PerceptError(f"device {name!r} is not there: {device.type} has {count} device(s)")
    return device


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No gradients, no TF32, and the same algorithms in every run."""
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, False
    try:
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        matmul.allow_tf32 = before
