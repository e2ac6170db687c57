"""Which device computes, and how exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import torch

from percept_cli.errors import OutOfMemory, PerceptError

SMALLEST_TILE = 64

_FLAGS = RLock()


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
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """No gradients, no TF32, and the same algorithms in every run; then all is as it was."""
    with torch.inference_mode():
        if device.type != "cuda":
            yield
            return
        # The flags are those of the whole process: one thread at a time.
        with _FLAGS:
            before = [(owner, name, getattr(owner, name)) for owner, name, _ in _exact_flags()]
            for owner, name, value in _exact_flags():
                setattr(owner, name, value)
            try:
                yield
            finally:
                for owner, name, value in before:
                    setattr(owner, name, value)


def _exact_flags() -> list[tuple[Any, str, Any]]:
    """Owner, name and value of each flag; torch does not let its old names mix with its new."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    precision: list[tuple[Any, str, Any]]
    if hasattr(cudnn, "conv"):
        precision = [(owner, "fp32_precision", "ieee") for owner in (matmul, cudnn.conv)]
    else:
        precision = [(owner, "allow_tf32", False) for owner in (matmul, cudnn)]
    return [(cudnn, "deterministic", True), *precision]


@dataclass(frozen=True)
class Capacity:
    """How much of the images a device works on at a time."""

    width: int
    """Most columns of pixels that a crop owns."""
    height: int
    """Most rows."""
    together: int
    """Most pixels of crops that go together; a single crop may have more."""
    strips: bool
    """Whether a crop goes through in strips that stay in the cache, one image at a time."""

    def smaller(self) -> Capacity:
        """Half of it, for a device that ran out of memory; OutOfMemory if too little is left."""
        if self.together > self.width * self.height:
            return replace(self, together=self.together // 2)
        side = min(self.width, self.height) // 2
        if side < SMALLEST_TILE:
            raise OutOfMemory(
                f"out of memory even for {2 * side}x{2 * side} pixels at a time: free some, or "
                f"choose shallower layers{'' if self.strips else ', or --device cpu'}"
            )
        return replace(self, width=side, height=side)


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nothing uses; 0 where it does not tell."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Not on Windows, not on macOS.
        return 0


def capacity_of(device: torch.device) -> Capacity:
    """What the device works on at a time."""
    if device.type == "cpu":
        return Capacity(width=1920, height=8192, together=0, strips=True)
    return Capacity(width=1024, height=1024, together=1 << 22, strips=False)
