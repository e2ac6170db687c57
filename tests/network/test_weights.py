from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anyvision import models
from conftest import SAMPLES, Run
from safetensors.torch import save_file

from percept_cli.errors import PerceptError
from percept_cli.network import weights
from percept_cli.network.loss import PerceptualLoss
from percept_cli.network.weights import _expected as expected_tensors

PAIR = (SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg")
State = dict[str, torch.Tensor]


@pytest.fixture
def small() -> State:
    """The beginning of a state dict, as far as conv1_2."""
    torch.manual_seed(1)
    return {
        key: torch.randn(shape) * 0.1 for key, (_, shape) in list(expected_tensors().items())[:4]
    }


def test_expected_tensors_are_those_of_torchvision() -> None:
    theirs = {key: tuple(value.shape) for key, value in models.vgg19().state_dict().items()}
    assert {key: shape for key, (_, shape) in expected_tensors().items()} == theirs


def test_torchvision_url_is_torchvisions() -> None:
    assert models.VGG19_Weights.IMAGENET1K_V1.url == weights.TORCHVISION_URL


def test_torchvision_path_is_in_torchs_hub_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in ({}, {"XDG_CACHE_HOME": "/a"}, {"TORCH_HOME": "/b"}):
        for name in ("XDG_CACHE_HOME", "TORCH_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert weights.torchvision_path().parent == Path(torch.hub.get_dir()) / "checkpoints"


def test_bundled_weights_take_pixels_as_caffes_vgg_did() -> None:
    """In 0 to 255, less the mean colour of ImageNet, which they were trained with."""
    bundled, pixel = weights.load("bundled"), np.array([0.2, 0.5, 0.9])
    taken = (pixel - bundled.mean) / bundled.std
    assert taken == pytest.approx(255 * pixel - [123.68, 116.779, 103.939])


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_state_dict_files_are_read(tmp_path: Path, small: State, suffix: str) -> None:
    file = tmp_path / f"vgg{suffix}"
    save_file(small, file) if suffix == ".safetensors" else torch.save(small, file)
    loaded = weights.load(str(file))
    assert loaded.layers == ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1")
    assert torch.equal(loaded.tensors["conv1_2.bias"], small["features.2.bias"])


def test_a_file_that_changed_is_read_again_and_may_be_trained_with(
    tmp_path: Path, small: State
) -> None:
    file = tmp_path / "vgg.pth"
    one, other = torch.rand(2, 1, 3, 32, 32)
    values = []
    for factor in (1, 3):
        torch.save({name: factor * tensor for name, tensor in small.items()}, file)
        os.utime(file, ns=(factor, factor))
        with torch.inference_mode():
            weights.load(str(file))
        loss = PerceptualLoss(("conv1_1",), weights=str(file), raw=True)
        values.append(loss(one.requires_grad_(), other))
        values[-1].backward()
    assert values[1].item() == pytest.approx(3 * values[0].item(), rel=1e-5)


def without(key: str) -> Callable[[State], Any]:
    return lambda state: {name: tensor for name, tensor in state.items() if name != key}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("features.0.bias"), "tensor features.0.bias is missing"),
        (without("features.2.bias"), "tensor features.2.bias is missing"),
        (lambda _: {}, "tensor features.0.weight is missing"),
        (lambda state: state | {"features.9.weight": torch.ones(1)}, "'features.9.weight' is no"),
        (
            lambda state: state | {"features.0.bias": torch.ones(3)},
            r"shape \(3,\), not \(64,\)",
        ),
        (lambda state: state | {"features.0.bias": "no"}, r"features.0.bias has shape \(\)"),
        (lambda state: state | {"features.0.bias": torch.full((64,), torch.nan)}, "are not finite"),
        (lambda _: [1], "holds a list"),
    ],
)
def test_damaged_state_dicts_are_refused(
    tmp_path: Path, small: State, damage: Callable[[State], Any], message: str
) -> None:
    file = tmp_path / "vgg.pth"
    torch.save(damage(small), file)
    with pytest.raises(PerceptError, match=message):
        weights.load(str(file))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"text{suffix}"
    file.write_text("not weights")
    with pytest.raises(PerceptError, match="not a state dict that torch reads"):
        weights.load(str(file))


def test_a_changed_bundled_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / weights.BUNDLED_FILE
    changed.write_bytes(weights.bundled_path().read_bytes()[:-1] + b"!")
    monkeypatch.setattr(weights, "bundled_path", lambda: changed)
    with pytest.raises(PerceptError, match=r"wrong hash .*force-reinstall"):
        weights.load("bundled")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server of a folder on the loopback address, as the start of its URLs."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


def served(tmp_path: Path, state: State) -> str:
    """Put a state dict among what is served, under a name that tells its hash; that name."""
    file = tmp_path / "served" / "vgg19.pth"
    torch.save(state, file)
    return file.rename(file.with_name(f"vgg19-{weights.sha256_of(file)[:8]}.pth")).name


def test_torchvision_weights_are_downloaded_once_and_used(
    percept: Run, tmp_path: Path, server: str, small: State
) -> None:
    name = served(tmp_path, small)
    variables = {
        "PERCEPT_TORCHVISION_URL": server + name,
        "TORCH_HOME": str(tmp_path / "hub"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    fetched = percept("weights", "fetch", "torchvision", **variables)
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.strip() == str(tmp_path / "hub/hub/checkpoints" / name)
    assert re.search(r"100(\.0)?%", fetched.stderr)
    assert "0.2 MB" in percept("weights", **variables).stdout
    (tmp_path / "served" / name).unlink()
    scored = percept(
        "compare", *PAIR, "--weights=torchvision", "--layers=conv1_2", "--format=json", **variables
    )
    assert scored.returncode == 0, scored.stderr
    assert name.split("-")[1].removesuffix(".pth") in scored.stdout


def test_a_damaged_download_is_refused(
    percept: Run, tmp_path: Path, server: str, small: State
) -> None:
    name = served(tmp_path, small)
    with (tmp_path / "served" / name).open("ab") as file:
        file.write(b"!")
    hub = str(tmp_path / "hub")
    done = percept(
        "weights", "fetch", "torchvision", PERCEPT_TORCHVISION_URL=server + name, TORCH_HOME=hub
    )
    assert done.returncode == 2
    assert "the download is damaged" in done.stderr.splitlines()[-1]
    assert not list(Path(hub).rglob("*.pth"))


def test_a_damaged_file_in_the_cache_is_refused(percept: Run, tmp_path: Path, small: State) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(small, cache / "vgg19-dcbb9e9d.pth")
    done = percept("compare", *PAIR, "--weights=torchvision", TORCH_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "wrong hash" in done.stderr and "delete it" in done.stderr


def test_a_mirrors_name_must_tell_the_hash(percept: Run, tmp_path: Path) -> None:
    done = percept(
        "weights", "fetch", "torchvision",
        PERCEPT_TORCHVISION_URL="http://127.0.0.1:9/vgg19.pth", TORCH_HOME=str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "must end like vgg19-dcbb9e9d.pth" in done.stderr


def test_a_cache_that_cannot_be_made_is_one_line(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = percept("weights", "fetch", "torchvision", TORCH_HOME=str(tmp_path / "file"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot download" in done.stderr


def test_without_a_network_one_line_says_how_to_place_the_file(
    percept: Run, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:9/vgg19-dcbb9e9d.pth"
    done = percept(
        "compare",
        *PAIR,
        "--weights=torchvision",
        PERCEPT_TORCHVISION_URL=nobody,
        TORCH_HOME=str(tmp_path),
    )
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("percept:")]
    place = tmp_path / "hub/checkpoints/vgg19-dcbb9e9d.pth"
    assert len(said) == 1 and f"cannot download {nobody}" in said[0] and str(place) in said[0]
    assert "Traceback" not in done.stderr


def test_unknown_weights_are_refused(percept: Run) -> None:
    done = percept("weights", "fetch", "vgg16")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown weights 'vgg16'" in done.stderr
    done = percept("compare", *PAIR, "--weights", "nowhere.pth")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere.pth: no such weights" in done.stderr
