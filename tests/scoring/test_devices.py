from __future__ import annotations

import subprocess
import sys
from threading import Thread

import pytest
import torch

from percept_cli.errors import PerceptError
from percept_cli.scoring.devices import (
    PIXEL_BYTES,
    capacity_of,
    devices_named,
    exact_arithmetic,
)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


def test_auto_is_the_cpu_where_there_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert devices_named("auto") == [torch.device("cpu")]


@pytest.mark.usefixtures("two_gpus")
def test_a_kind_without_a_number_is_all_devices_of_it() -> None:
    both = [torch.device("cuda:0"), torch.device("cuda:1")]
    assert devices_named("auto") == devices_named("cuda") == both
    assert devices_named("cuda:1") == both[1:] and devices_named("cpu") == [torch.device("cpu")]
    with pytest.raises(PerceptError, match=r"device 'cuda:2' is not there: cuda has 2 device"):
        devices_named("cuda:2")


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(PerceptError, match="device 'cuda:99' is not there"):
        devices_named("cuda:99")


def test_tiles_of_an_accelerator_follow_its_free_memory() -> None:
    gpu, gib = torch.device("cuda"), 1 << 30
    assert capacity_of(torch.device("cpu"), 64 * gib) == capacity_of(torch.device("cpu"))
    unknown, *known = (capacity_of(gpu, free) for free in (0, gib, 8 * gib, 80 * gib, 1 << 50))
    assert (unknown.width, unknown.height, unknown.together) == (1024, 1024, 1 << 22)
    assert [each.width for each in known] == [256, 1024, 2048, 4096]
    for free, each in zip((gib, 8 * gib, 80 * gib), known, strict=False):
        assert each.width * each.height <= each.together <= free // PIXEL_BYTES
    assert capacity_of(gpu, 9 * gib) == capacity_of(gpu, 12 * gib)


def test_threads_that_want_the_same_flags_share_them_and_others_wait() -> None:
    conv, gpu, seen = torch.backends.cudnn.conv, torch.device("cuda"), []
    before = conv.fp32_precision

    def other(precision: str) -> None:
        with exact_arithmetic(gpu, precision):
            seen.append((precision, conv.fp32_precision))

    with exact_arithmetic(gpu, "tf32"):
        assert conv.fp32_precision == "tf32"
        same, waiting = (
            Thread(target=other, args=(name,), daemon=True) for name in ("tf32", "fp32")
        )
        same.start(), waiting.start()
        same.join(10)
        waiting.join(0.2)
        assert waiting.is_alive() and seen == [("tf32", "tf32")]
    waiting.join(10)
    assert seen[1:] == [("fp32", "ieee")] and conv.fp32_precision == before


@pytest.mark.parametrize("precision", ["ieee", "tf32"])
def test_exact_arithmetic_leaves_the_users_settings_as_they_were(precision: str) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.deterministic
    matmul.fp32_precision = cudnn.conv.fp32_precision = precision
    try:
        with exact_arithmetic(torch.device("cuda")):
            assert matmul.fp32_precision == cudnn.conv.fp32_precision == "ieee"
            assert cudnn.enabled and cudnn.deterministic
            assert torch.is_inference_mode_enabled()
        assert matmul.fp32_precision == cudnn.conv.fp32_precision == precision
        assert cudnn.enabled and not cudnn.deterministic
    finally:
        matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.deterministic = before


def test_exact_arithmetic_works_beside_torchs_older_flags() -> None:
    code = (
        "import torch; torch.backends.cuda.matmul.allow_tf32 = True\n"
        "from percept_cli.scoring.devices import exact_arithmetic\n"
        "with exact_arithmetic(torch.device('cuda')): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
