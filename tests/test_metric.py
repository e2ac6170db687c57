"""The metric of torchmetrics: the command's mean, also over batches and processes."""

from __future__ import annotations

from pathlib import Path

import anyvision  # noqa: F401 -- torchmetrics imports torchvision
import numpy as np
import pytest
import torch
from conftest import SAMPLES
from PIL import Image
from torch import distributed, multiprocessing

import percept_cli

NAMES = ("astronaut", "chelsea", "coffee")
LAYERS = ("conv1_1", "conv2_1", "conv3_1")


def images(folder: str) -> torch.Tensor:
    files = [next((SAMPLES / folder).glob(f"{name}.*")) for name in NAMES]
    arrays = [np.asarray(Image.open(file).convert("RGB"), np.float32) / 255 for file in files]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def commands() -> dict[str, float]:
    """Means of the command's own figures."""
    files = [
        [next((SAMPLES / folder).glob(f"{name}.*")) for folder in ("references", "jpeg-2")]
        for name in NAMES
    ]
    results = [percept_cli.compare(*pair, layers=LAYERS) for pair in files]
    means = {name: float(np.mean([r.layers[name] for r in results])) for name in LAYERS}
    return {"total": float(np.mean([r.total for r in results]))} | means


def test_the_mean_is_the_commands_in_any_batches() -> None:
    metric = percept_cli.PerceptualDistance(LAYERS, per_layer=True)
    candidates, references = images("jpeg-2"), images("references")
    expected = pytest.approx(commands(), rel=1e-4)
    for parts in ((3,), (1, 2)):
        metric.reset()
        for batch in zip(candidates.split(parts), references.split(parts), strict=True):
            metric.update(*batch)
        assert {name: float(value) for name, value in metric.compute().items()} == expected
    total = percept_cli.PerceptualDistance(LAYERS)(candidates, references)
    assert float(total) == pytest.approx(commands()["total"], rel=1e-4)


def _process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    part = slice(0, 1) if rank == 0 else slice(1, 3)
    metric = percept_cli.PerceptualDistance(LAYERS, per_layer=True)
    metric.update(images("jpeg-2")[part], images("references")[part])
    torch.save(metric.compute(), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_processes_count_each_image_the_same(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (tmp_path,), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        values = {name: float(value) for name, value in found.items()}
        assert values == pytest.approx(commands(), rel=1e-4)
