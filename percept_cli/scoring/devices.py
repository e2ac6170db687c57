"""Which device computes, and how exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import Any

import torch

from percept_cli.errors import OutOfMemory, PerceptError

SMALLEST_TILE = 64

MOST_PIXELS = 1 << 24
"""Pixels an accelerator works on at the most: in tiles of 4096 margins cost next to nothing."""

PIXEL_BYTES = 1 << 13
"""Memory of an accelerator there is to be for each pixel that it works on, a guess with room: what
conv1_2 takes and gives, features and changes in float32, is 1 KiB of it. None was measured."""


def devices_named(name: str) -> list[torch.device]:
    """The devices of that name: of `cuda` all there are, of `auto` all accelerators or the CPU.

    Raises PerceptError for a device that this machine or this torch does not have.
    """
    there = torch.accelerator.current_accelerator(check_available=True)
    try:
        device = there or torch.device("cpu") if name == "auto" else torch.device(name)
    except RuntimeError as error:
        raise PerceptError(f"unknown device {name!r}: give auto, cpu, cuda, cuda:1, mps") from error
    if device.type == "cpu":
        return [device]
    count = torch.accelerator.device_count() if there and there.type == device.type else 0
    if (device.index or 0) >= count:
        raise PerceptError(f"device {name!r} is not there: {device.type} has {count} device(s)")
    if device.index is None and count > 1:
        return [torch.device(device.type, index) for index in range(count)]
    return [device]


def has_tf32(device: torch.device) -> bool:
    """Whether the device multiplies in TF32 where it is asked to."""
    nvidia = device.type == "cuda" and torch.version.hip is None
    return nvidia and torch.cuda.get_device_capability(device) >= (8, 0)


class _Flags:
    """Torch's flags of the whole process: threads that want the same ones share them."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._users = 0
        self._fp32: str | None = None
        self._before: list[tuple[Any, str, Any]] = []

    @contextmanager
    def with_fp32_as(self, fp32: str) -> Iterator[None]:
        """Float32 computed as `ieee` or `tf32` has it, by the same algorithms in every run."""
        with self._changed:
            self._changed.wait_for(lambda: not self._users or self._fp32 == fp32)
            if not self._users:
                self._fp32, flags = fp32, _flags(fp32)
                self._before = [(owner, name, getattr(owner, name)) for owner, name, _ in flags]
                _set(flags)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    _set(self._before)
                    self._changed.notify_all()


_FLAGS = _Flags()


@contextmanager
def exact_arithmetic(device: torch.device, precision: str = "fp32") -> Iterator[None]:
    """No gradients, TF32 only where it is chosen, the same algorithms; then all is as it was."""
    with torch.inference_mode():
        if device.type != "cuda":
            yield
            return
        with _FLAGS.with_fp32_as("tf32" if precision == "tf32" else "ieee"):
            yield


def _flags(fp32: str) -> list[tuple[Any, str, Any]]:
    """Owner, name and value of each flag; torch does not let its old names mix with its new."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    precision: list[tuple[Any, str, Any]]
    if hasattr(cudnn, "conv"):
        precision = [(owner, "fp32_precision", fp32) for owner in (matmul, cudnn.conv)]
    else:
        precision = [(owner, "allow_tf32", fp32 == "tf32") for owner in (matmul, cudnn)]
    return [(cudnn, "deterministic", True), *precision]


def _set(flags: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in flags:
        setattr(owner, name, value)


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
        return replace(self, width=side, height=side, together=min(self.together, side**2))


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nothing uses; 0 where it does not tell."""
    own: Any = getattr(torch, device.type, None)
    if hasattr(own, "mem_get_info"):
        # What torch keeps for tensors to come is free as well.
        kept: int = own.memory_reserved(device) - own.memory_allocated(device)
        return kept + int(own.mem_get_info(device)[0])
    if device.type != "cpu":
        return 0
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Not on Windows, not on macOS.
        return 0


def capacity_of(device: torch.device, free: int = 0) -> Capacity:
    """What the device works on at a time, if it has so many free bytes; 0 is not known.

    That of an accelerator is a power of two, so that nearly the same memory gives the same tiles.
    """
    if device.type == "cpu":
        return Capacity(width=1920, height=8192, together=0, strips=True)
    if not free:
        return Capacity(width=1024, height=1024, together=1 << 22, strips=False)
    pixels = min(max(free // PIXEL_BYTES, SMALLEST_TILE**2), MOST_PIXELS)
    power = pixels.bit_length() - 1
    side = 1 << power // 2
    return Capacity(width=side, height=side, together=1 << power, strips=False)
