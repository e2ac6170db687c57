from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from percept_cli.errors import PerceptError
from percept_cli.scoring.devices import device_named, exact_arithmetic


def test_auto_is_the_cpu_where_there_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert device_named("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    assert device_named("auto") == torch.device("cuda")


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(PerceptError, match="device 'cuda:99' is not there"):
        device_named("cuda:99")


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
