"""Instructions and threads that the environment asks for are those torch computes with."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.numeric

COMPUTE = """
import torch
kernels, x = torch.rand(64, 64, 3, 3), torch.rand(1, 64, 32, 32)
torch.nn.functional.conv2d(x, kernels) @ torch.rand(30, 30)
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
"""


def test_what_is_asked_for_is_in_force() -> None:
    """As .ci/run asks: torch's own kernels, oneDNN's convolutions and MKL's products."""
    asked = {name: value for name, value in os.environ.items() if value}
    loud = asked | {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE], env=loud, capture_output=True, text=True, check=True
    )
    capability, threads = done.stdout.splitlines()[-1].split()
    assert asked.get("ATEN_CPU_CAPABILITY", capability).upper() == capability
    assert asked.get("OMP_NUM_THREADS", threads) == threads
    isa = re.search(r"cpu,isa:(?:Intel )?(.*)", done.stdout)
    assert isa and asked.get("ONEDNN_MAX_CPU_ISA", isa[1]) == isa[1].replace(".", "")
    branches = re.findall(r" CNR:(\w+)", done.stdout)
    # MKL has branches of their own for Intel's processors alone, and one for all.
    assert branches and {asked.get("MKL_CBWR", "OFF"), "AUTO"} >= set(branches)
