"""`percept init` begins a configuration that the next command then uses."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, Run
from PIL import Image

from percept_cli.gate.beginning import are_rendered, beginning

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES, PHOTOGRAPHS = ("article", "dashboard"), ("astronaut", "chelsea", "coffee")


def copied(folder: Path, names: tuple[str, ...], source: str = "references") -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (file,) = (SAMPLES / source).glob(f"{name}.*")
        shutil.copy(file, folder)
    return folder


def test_pages_get_the_preset_for_pages_and_the_usual_threshold(
    percept: Run, tmp_path: Path
) -> None:
    copied(tmp_path / "base", PAGES)
    copied(tmp_path / "new", PAGES)
    done = percept("init", "base", "new")
    assert done.returncode == 0
    assert "pages or drawings; the usual threshold: no pair differs yet" in done.stdout
    assert done.stdout.endswith("next: percept check --report report -- base new\n")
    said = tomllib.loads((tmp_path / "percept.toml").read_text())
    assert said == {"preset": "rendering", "peak-threshold": "normal"}
    assert percept("check", "base", "new").returncode == 0
    again = percept("init", "base", "new")
    assert again.returncode == 2 and "percept.toml is there" in again.stderr


def test_photographs_get_the_scale_of_what_people_notice(percept: Run, tmp_path: Path) -> None:
    copied(tmp_path / "new", PHOTOGRAPHS)
    done = percept("init", "base", "new")
    assert done.stdout.endswith("next: percept approve -- base new\n")
    said = tomllib.loads((tmp_path / "percept.toml").read_text())
    assert said == {"preset": "quality", "jnd": 1}
    assert percept("approve", "base", "new").returncode == 0
    assert percept("check", "base", "new").returncode == 0


def test_a_plain_change_is_named_and_not_let_through(percept: Run, tmp_path: Path) -> None:
    copied(tmp_path / "base", PAGES)
    copied(tmp_path / "new", PAGES)
    copied(tmp_path / "new", ("dashboard",), "edit-2")
    done = percept("init", "base", "new")
    assert "look at dashboard.png: above that, and perhaps changed" in done.stdout
    assert percept("check", "base", "new").returncode == 1


def test_every_line_of_the_file_may_be_used(percept: Run, tmp_path: Path) -> None:
    copied(tmp_path / "base", PAGES)
    copied(tmp_path / "animations", PAGES)
    percept("init", "base", "animations")
    file = tmp_path / "percept.toml"
    lines = file.read_text().splitlines()
    keys = [line.removeprefix("# ") for line in lines if "= " in line or "[images" in line]
    file.write_text("\n".join(keys).replace("animations/*", "*").replace("900,20", "30,20"))
    assert percept("check", "base", "animations").returncode == 0


def test_many_pairs_a_little_above_widen_the_threshold_but_not_for_all() -> None:
    few = {f"{n}.png": 0.1 for n in range(20)} | {"high.png": 0.45}
    assert beginning(True, few).threshold == "normal"
    many = {f"{n}.png": 0.45 for n in range(5)} | {"low.png": 0.2, "changed.png": 3.0}
    found = beginning(True, many)
    assert found.threshold == pytest.approx(0.56) and found.above == ["changed.png"]
    assert beginning(False, {"a.png": 5.0}).threshold == 1
    assert beginning(False, {"a.png": 1.3, "b.png": 1.2}).threshold == pytest.approx(1.6)


def test_what_an_image_is_does_not_depend_on_its_size(tmp_path: Path) -> None:
    for names, rendered in ((PAGES, True), (PHOTOGRAPHS, False)):
        for name in names:
            with Image.open(SAMPLES / f"references/{name}.png") as image:
                for size in ((64, 64), (900, 700)):
                    file = tmp_path / f"{name}-{size[0]}.png"
                    image.resize(size, Image.Resampling.NEAREST).save(file)
        files = [tmp_path / f"{name}-64.png" for name in names]
        assert are_rendered(files, 10**9) is rendered


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_folders_without_images_are_refused(percept: Run, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    done = percept("init", "base", folder)
    assert done.returncode == 2 and not (tmp_path / "percept.toml").exists()


def test_a_gate_by_jnd_is_calibrated_by_jnd(percept: Run, tmp_path: Path) -> None:
    copied(tmp_path / "b", PHOTOGRAPHS[:2])
    copied(tmp_path / "s", PHOTOGRAPHS[:2], "jpeg-2")
    (tmp_path / "percept.toml").write_text("jnd = 1\n\n# [images.x]\n# jnd = 2\n")
    assert percept("check", "b", "s", "-q").returncode == 1
    done = percept("calibrate", "b", "s", "--write")
    assert done.returncode == 0 and "jnd threshold" in done.stdout
    assert f"options from {tmp_path / 'percept.toml'}" in done.stderr
    found = tomllib.loads((tmp_path / "percept.toml").read_text())
    assert set(found) == {"jnd"} and found["jnd"] > 1
    assert percept("check", "b", "s", "-q").returncode == 0
