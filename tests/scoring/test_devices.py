from __future__ import annotations

import pytest
import torch

from percept_cli.errors import PerceptError
from percept_cli.scoring.devices import device_named, exact_arithmetic


def test_auto_is_what_is_there() -> None:
    expected = "cpu" if not torch.accelerator.is_available() else None
    assert expected is None or device_named("auto").type == expected


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(PerceptError, match="device 'cuda:99' is not there"):
        device_named("cuda:99")
    with pytest.raises(PerceptError, match="unknown device 'abacus'"):
        device_named("abacus")


def test_exact_arithmetic_leaves_the_users_settings_as_they_were() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = True
    try:
        with exact_arithmetic():
            assert not matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
            assert torch.is_inference_mode_enabled()
        assert matmul.allow_tf32
    finally:
        matmul.allow_tf32 = before
