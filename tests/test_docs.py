"""The README and the pages of the site: their examples run, and what they say is what holds.

Each page's blocks run in their order, in a folder that has what their words suppose. A comment
before a block says what is special: `not run: why`, `file: NAME` (the block is that file),
`browser` (it needs one), `exit: CODE`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer
from conftest import SAMPLES, clean_environment
from make import DISTORTIONS, STRENGTHS
from PIL import Image, ImageDraw

import percept_cli
from percept_cli.cli.app import add_commands, app
from percept_cli.inputs.configuration import TYPES, configured
from percept_cli.outputs.formats import FORMATS

ROOT = SAMPLES.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "reference" not in p.parts)]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```$", re.S | re.M)
PRELUDE = """
import torch, percept_cli
device, model = "cpu", torch.nn.Conv2d(3, 3, 3, padding=1)
optimiser = torch.optim.Adam(model.parameters())
output, target = batch = torch.rand(2, 1, 3, 32, 32)
output.requires_grad_()
batches = [batch.detach()]
"""
"""What pages suppose whose Python is part of a reader's program."""


class Block(NamedTuple):
    """A fenced block of a page."""

    said: str
    """The comment before it."""
    language: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    for said, language, text in BLOCK.findall(page.read_text()):
        yield Block(said, language, text)


def examples_of(page: Path) -> list[Block]:
    """The blocks that run."""
    kinds = "sh", "python"
    return [b for b in blocks_of(page) if b.language in kinds and not b.said.startswith("not run")]


@pytest.fixture(scope="session")
def supposed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and folders that the pages' words suppose."""
    folder = tmp_path_factory.mktemp("supposed")
    for name in ("sample_images", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    small = {}
    for name in ("coffee", "dashboard", "astronaut"):
        with Image.open(SAMPLES / f"references/{name}.png") as image:
            small[name] = image.convert("RGB").resize((96, 96))
    changed = small["dashboard"].copy()
    ImageDraw.Draw(changed).rectangle((30, 30, 60, 50), "#c00")
    for inside in ("baselines", "linux", "mac", "screenshots-of-ci", "frames-run-1"):
        _write(folder / inside, home=small["dashboard"], about=small["astronaut"])
    drawn = {
        name: Image.blend(image, image.convert("L").convert("RGB"), 0.02)
        for name, image in small.items()
    }
    _write(folder / "frames-run-2", home=drawn["dashboard"], about=drawn["astronaut"])
    _write(folder / "screenshots", home=changed, about=small["astronaut"])
    _write(folder / "before", home=small["dashboard"])
    _write(folder / "after", home=changed)
    _write(folder / "ground_truth", **small)
    _write(folder / "variants", other=small["coffee"])
    for inside, quality in (("outputs", 30), ("other-outputs", 60)):
        (folder / inside).mkdir()
        for name, image in small.items():
            image.save(folder / inside / f"{name}.jpg", quality=quality)
    small["dashboard"].save(folder / "before.png")
    changed.save(folder / "after.png")
    small["coffee"].save(folder / "original.png")
    small["coffee"].save(folder / "compressed.jpg", quality=20)
    small["coffee"].save(folder / "variant.png")
    for name in ("accepted", "report"):
        small["astronaut"].save(folder / f"{name}.pdf")
    rows = [f"ground_truth/{n}.png,outputs/{n}.jpg,jpeg,{q}" for q, n in enumerate(small)]
    (folder / "pairs.csv").write_text("\n".join(["reference,candidate,codec,quality", *rows]))
    stories = folder / "storybook-static"
    stories.mkdir()
    entries = ", ".join(
        f'"{name}": {{"id": "{name}", "type": "{kind}"}}'
        for name, kind in (("button--primary", "story"), ("button--docs", "docs"))
    )
    (stories / "index.json").write_text(f'{{"v": 5, "entries": {{{entries}}}}}')
    (stories / "iframe.html").write_text("<script>document.write(location.search)</script>")
    for name, inside in (("model-a", "outputs"), ("model-b", "other-outputs")):
        done = run(f"percept compare ground_truth {inside} --output {name}.json", folder)
        assert done.returncode == 0, done.stderr
    run("percept check baselines screenshots --json results.json", folder)
    run("git init -q", folder)
    return folder


def _write(folder: Path, **images: Image.Image) -> None:
    folder.mkdir()
    for name, image in images.items():
        image.save(folder / f"{name}.png")


def run(lines: str, folder: Path, imported: str = "sys") -> subprocess.CompletedProcess[str]:
    """Run a block as a reader's shell would, with percept, python and pytest from here."""
    own = Path(sys.executable)
    start = f"import {imported}, runpy, sys; sys.argv.pop(0)"
    functions = (
        f'python() {{ "{own}" -c "{start}; runpy.run_path(sys.argv[0], run_name=\'__main__\')" '
        f'"$@"; }}\n'
        f'percept() {{ "{own}" -c "{start}; sys.argv.insert(0, \'percept\'); '
        f'from percept_cli.cli import main; main()" "$@"; }}\n'
        f'pytest() {{ "{own}" -m pytest -q -p no:cacheprovider "$@"; }}\n'
    )
    path = f"{own.parent}{os.pathsep}{os.environ['PATH']}"
    modules = os.pathsep.join(map(str, (ROOT, ROOT / "benchmarks")))
    environment = clean_environment(PYTHONPATH=modules, PATH=path, CHROMIUM=str(CHROMIUM))
    return subprocess.run(
        ["bash", "-e", "-c", functions + lines],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if examples_of(page)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_example_runs(page: Path, supposed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(supposed, folder)
    scripts = [PRELUDE] if page.name in ("README.md", "training.md") else []
    for block in examples_of(page):
        if block.said == "browser":
            continue
        if block.said.startswith("file: "):
            (folder / block.said.removeprefix("file: ")).write_text(block.text)
            continue
        if block.language == "python":
            scripts.append(block.text)
            continue
        # What needs torchmetrics runs beside any torchvision.
        done = run(block.text, folder, "anyvision" if "--also" in block.text else "sys")
        code = int(block.said.removeprefix("exit: ")) if block.said.startswith("exit: ") else 0
        assert done.returncode == code, f"{block.text}\n{done.stdout}{done.stderr}"
    if scripts:
        (folder / "script.py").write_text("\n".join(scripts))
        done = run("python script.py", folder, "anyvision")
        assert done.returncode == 0, done.stderr


def test_examples_with_a_browser_run(supposed: Path, tmp_path: Path) -> None:
    if not os.environ.get("REQUIRE_BROWSER"):
        pytest.importorskip("playwright", reason="these examples need: pip install playwright")
        if not CHROMIUM:
            pytest.skip("these examples need Chromium")
    assert CHROMIUM, "these examples need Chromium: apt-get install chromium"
    shutil.copytree(supposed, tmp_path / "work")
    ran = 0
    for block in examples_of(DOCS / "recipes.md"):
        if block.said.startswith("file: "):
            (tmp_path / "work" / block.said.removeprefix("file: ")).write_text(block.text)
        elif block.said == "browser":
            ran += 1
            done = run(block.text, tmp_path / "work")
            assert done.returncode == 0, f"{block.text}\n{done.stdout}{done.stderr}"
    assert ran == 2


def test_every_configuration_is_one(tmp_path: Path) -> None:
    tried = 0
    for page in (*PAGES, DOCS / "reference/configuration.md"):
        for number, block in enumerate(blocks_of(page)):
            if block.language == "toml":
                tried += 1
                folder = tmp_path / f"{page.stem}-{number}"
                folder.mkdir()
                (folder / "percept.toml").write_text(block.text)
                assert configured(folder, TYPES)[1]
    assert tried >= 2


def test_the_reference_of_python_has_every_name() -> None:
    text = (DOCS / "reference/python.md").read_text()
    names = {*percept_cli.__all__, "PerceptualDistance"} - {"__version__"}
    assert names <= set(re.findall(r"^::: percept_cli\.(\w+)$", text, re.M))


def test_options_that_pages_name_are_there() -> None:
    add_commands()
    group: Any = typer.main.get_command(app)
    known = {o for c in group.commands.values() for p in c.params for o in p.opts}
    known |= {"--version", "--help", "--install-completion", "--show-completion"}
    for page in PAGES:
        for block in blocks_of(page):
            for line in re.findall(r"^percept .*$", block.text, re.M):
                named = {word.split("=")[0] for word in line.split() if word.startswith("--")}
                assert named <= known, f"{page}: {line}"
    for page in DOCS.glob("coming-from/*.md"):
        for cells in re.findall(r"^\|.*\|(.*?)\|$", page.read_text(), re.M):
            own = set(re.findall(r"`(--[a-z-]+)", cells)) - {"--percept-update"}
            assert {o for o in own if not o.startswith("--percept")} <= known, f"{page}: {cells}"


def test_the_reference_is_what_the_code_says() -> None:
    add_commands()
    sys.path.insert(0, str(ROOT / "scripts"))
    from reference import pages

    for name, text in pages().items():
        assert (DOCS / "reference" / name).read_text() == text, "run scripts/reference.py"


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md"),
     *(ROOT / "examples").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_links_lead_somewhere(page: Path) -> None:
    for target, place in re.findall(r"\]\(([^)#\s:]*)(?:#([^)\s]*))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page}: {target}"
        if place and linked.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", linked.read_text(), re.M)
            assert place in {_anchor(head) for head in heads}, f"{page}: {target}#{place}"


def _anchor(head: str) -> str:
    """A heading's place, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/reference/python.html").read_text()
    assert "layer_distances" in page and "PerceptError" in page
    assert "http://" not in re.sub(r"http://(www\.w3\.org|127)", "", page)


def test_the_container_passes_its_linter() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.numeric
def test_the_table_of_distortions_is_true() -> None:
    text = (DOCS / "numbers.md").read_text()
    rows = dict(re.findall(r"^\| (\w.*?) \| (\d\S+ \| \d\S+) \| \d\S+ \| \d", text, re.M))
    middle = len(STRENGTHS) // 2
    for name, distortion in DISTORTIONS.items():
        candidate = SAMPLES / f"{name}-{STRENGTHS[middle]}/coffee{distortion.suffix}"
        words = distortion.words.format(f"{distortion.amounts[middle]:g}")
        total, peak = map(float, rows[words].split(" | "))
        result = percept_cli.compare(SAMPLES / "references/coffee.png", candidate)
        room = decoding(candidate) if distortion.suffix == ".jpg" else (0, 0)
        # What is just between two figures of three decimals may be rounded to either.
        assert result.total == pytest.approx(total, abs=0.001 + room[0])
        assert result.peak == pytest.approx(peak, abs=0.001 + room[1])


def decoding(jpeg: Path) -> tuple[float, float]:
    """Total and peak from the image to one whose levels are one off, as decoders may differ.

    By the triangle inequality no distance to them differs by more.
    """
    with Image.open(jpeg) as image:
        pixels = np.asarray(image)
    signs = np.random.default_rng(0).choice((-1, 1), pixels.shape)
    result = percept_cli.compare(pixels, (pixels + signs).clip(0, 255).astype(np.uint8))
    assert result.peak is not None
    return result.total, result.peak


def test_results_name_every_format() -> None:
    text = (DOCS / "results.md").read_text()
    assert all(f"`{name}`" in text for name in FORMATS if name not in ("table", "check", "junit"))
