"""The real command on real images."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from conftest import SAMPLES, Run, clean_environment
from PIL import Image

from percept_cli.scoring.score import AHEAD

REFERENCES = SAMPLES / "references"
PAIR = REFERENCES / "coffee.png", SAMPLES / "jpeg-3/coffee.jpg"
FAST = "--layers=conv1_1,pool1"


def test_a_pair_is_a_table_of_its_layers(percept: Run) -> None:
    done = percept("compare", *PAIR)
    assert done.returncode == 0 and done.stderr == ""
    for word in (
        "conv1_1",
        "conv2_1",
        "conv3_1",
        "conv4_1",
        "total",
        "peak",
        "256x256",
        "c34748d2",
    ):
        assert word in done.stdout


def test_folders_are_scored_in_order_and_reproducibly(percept: Run) -> None:
    first, second = (
        percept("compare", REFERENCES, SAMPLES / "jpeg-3", "--format=csv").stdout for _ in range(2)
    )
    assert first == second
    rows = list(csv.DictReader(io.StringIO(first)))
    assert [Path(row["reference"]).stem for row in rows] == [
        "article", "astronaut", "chelsea", "coffee", "dashboard",
    ]  # fmt: skip
    assert all(float(row["total"]) > 0.2 for row in rows)


def test_every_format_has_the_same_numbers(percept: Run, tmp_path: Path) -> None:
    for form in ("csv", "json", "jsonl"):
        done = percept(
            "compare", REFERENCES, SAMPLES / "edit-1", FAST, "--output", f"r.{form}", "--quiet"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads((tmp_path / "r.json").read_text())
    schema = json.loads(
        (resources.files("percept_cli.outputs") / "results.schema.json").read_text()
    )
    jsonschema.validate(document, schema)
    *pairs, closing = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
    assert pairs == document["pairs"] and closing["summary"] == document["summary"]
    rows = csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))
    assert [float(row["total"]) for row in rows] == [pair["total"] for pair in pairs]
    assert document["summary"]["complete"] is True
    assert document["settings"]["device"] == "cpu"


def test_one_reference_is_compared_with_a_folder(percept: Run) -> None:
    done = percept("compare", PAIR[0], REFERENCES, FAST, "--format=jsonl")
    statuses = [json.loads(line).get("status") for line in done.stdout.splitlines()]
    assert statuses == ["compared", "compared", "compared", "identical", "compared", None]


def test_files_without_a_partner_end_with_three_unless_allowed(
    percept: Run, tmp_path: Path
) -> None:
    for place, name in (("a", "x"), ("b", "x"), ("a", "old"), ("b", "new")):
        (tmp_path / place).mkdir(exist_ok=True)
        shutil.copy(PAIR[0], tmp_path / place / f"{name}.png")
    done = percept("compare", "a", "b", "--format=json")
    assert done.returncode == 3 and "2 file(s) have no partner" in done.stderr
    pairs = json.loads(done.stdout)["pairs"]
    assert [pair["status"] for pair in pairs] == ["new", "missing", "identical"]
    assert percept("compare", "a", "b", "--allow-unpaired").returncode == 0


def test_comparing_nothing_is_no_success(percept: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    done = percept("compare", "a", "b")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nothing to compare" in done.stderr
    shutil.copy(PAIR[0], tmp_path / "c")
    for more in ((), ("--allow-unpaired",)):
        done = percept("compare", "a", "c", *more)
        assert done.returncode == 3 and "nothing was compared" in done.stderr
    (tmp_path / "m.csv").write_text("reference,candidate\n")
    assert percept("compare", "--pairs=m.csv").returncode == 2


def test_a_manifest_is_scored_in_its_order(percept: Run, tmp_path: Path) -> None:
    shutil.copytree(REFERENCES, tmp_path / "in")
    (tmp_path / "m.csv").write_text(
        "reference,candidate\nin/coffee.png,in/coffee.png\nin/article.png,in/dashboard.png\n"
    )
    done = percept("compare", "--pairs=m.csv", FAST, "--format=json")
    assert [pair["status"] for pair in json.loads(done.stdout)["pairs"]] == [
        "identical",
        "compared",
    ]


def test_standard_input_is_answered_line_by_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "percept_cli", "compare", "--pairs", "-", FAST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert process.stdin and process.stdout and process.stderr
    for candidate, status in ((PAIR[1], "compared"), ("none.png", "error"), (PAIR[0], "identical")):
        line = json.dumps({"reference": str(PAIR[0]), "candidate": str(candidate)})
        process.stdin.write(line + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["status"] == status
    process.stdin.close()
    assert json.loads(process.stdout.readline())["summary"]["pairs"] == 3
    assert process.wait(60) == 3
    assert process.stderr.read().count("none.png: no such file") == 1
    process.stdout.close()
    process.stderr.close()


def test_results_stream_before_the_run_ends(tmp_path: Path) -> None:
    """The first rows are there while a later pair cannot be read yet."""
    gate = tmp_path / "gate.jsonl"
    os.mkfifo(gate)
    process = subprocess.Popen(
        [sys.executable, "-m", "percept_cli", "compare", f"--pairs={gate}", "--format=jsonl"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    line = json.dumps({"reference": str(PAIR[0]), "candidate": str(PAIR[0])}) + "\n"
    with gate.open("w") as pipe:
        pipe.write(line * (AHEAD + 20))
        pipe.flush()
        assert json.loads(process.stdout.readline())["status"] == "identical"
        assert process.poll() is None
    assert process.stdout.read().count('"identical"') == AHEAD + 20
    process.stdout.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("distance", ["l2", "unit", "gram", "correlation"])
def test_the_same_run_prints_the_same_bytes(percept: Run, distance: str) -> None:
    arguments = ("compare", *PAIR, FAST, f"--distance={distance}", "--format=json")
    first, second = (percept(*arguments).stdout for _ in range(2))
    assert first == second and '"compared"' in first


def test_a_run_that_cannot_begin_leaves_the_output_as_it_was(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("old")
    for arguments in (["--pairs=typo.csv"], [*PAIR, "--weights=torchvision"]):
        done = percept(
            "compare", *arguments, "--output=r.csv",
            PERCEPT_TORCHVISION_URL="http://127.0.0.1:9/vgg19-dcbb9e9d.pth", TORCH_HOME="hub",
        )  # fmt: skip
        assert done.returncode == 2 and (tmp_path / "r.csv").read_text() == "old"


def test_data_is_utf8_whatever_the_terminal_is(percept: Run, tmp_path: Path) -> None:
    shutil.copy(PAIR[0], tmp_path / "é.png")
    done = percept("compare", "é.png", "é.png", "--format=json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["pairs"][0]["candidate"] == "é.png"


def test_names_are_no_markup_and_no_commands(percept: Run, tmp_path: Path) -> None:
    for place in ("a[bold]", "c[red]"):
        (tmp_path / place).mkdir()
        for name in ("x\x1b[31m.png", "y.png"):
            shutil.copy(PAIR[0], tmp_path / place / name)
    done = percept("compare", "a[bold]", "c[red]")
    assert done.returncode == 0, done.stderr
    assert "pair in c[red]" in done.stdout and "\x1b" not in done.stdout


def test_a_heat_map_that_cannot_be_written_loses_no_result(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "maps" / "coffee.jpg.png").mkdir(parents=True)
    done = percept(
        "compare", REFERENCES, SAMPLES / "jpeg-3", FAST, "--heatmap=maps", "--format=json"
    )
    assert done.returncode == 3 and done.stderr.count("cannot write the heat map") == 1
    assert json.loads(done.stdout)["summary"]["compared"] == 5
    assert len(list((tmp_path / "maps").iterdir())) == 5


def test_sort_and_limit_choose_what_a_table_shows(percept: Run) -> None:
    arguments = ("compare", REFERENCES, SAMPLES / "noise-3", FAST)
    by_layer = percept(*arguments, "--sort=pool1", "--format=json")
    scores = [pair["layers"]["pool1"] for pair in json.loads(by_layer.stdout)["pairs"]]
    assert scores == sorted(scores, reverse=True)
    shown = percept(*arguments, "--limit=1").stdout
    assert shown.count(".png") == 1 and "and 4 more" in shown
    assert "cannot sort by 'size'" in percept(*arguments, "--sort=size").stderr


def test_settings_change_the_numbers(percept: Run) -> None:
    def total(*flags: str) -> float:
        done = percept("compare", *PAIR, FAST, "--format=json", *flags)
        assert done.returncode == 0, done.stderr
        return float(json.loads(done.stdout)["pairs"][0]["total"])

    default = total()
    for flags in (
        ["--raw"], ["--distance=unit"], ["--layer-weight=pool1=3"], ["--resize=100x80"],
        ["--precision=bf16"], ["--layers=conv1_1"],
    ):  # fmt: skip
        assert total(*flags) != default, flags
    assert total("--device=cpu") == default


def test_sizes_that_differ_are_resized_or_refused(percept: Run, tmp_path: Path) -> None:
    with Image.open(PAIR[1]) as image:
        image.resize((120, 90)).save(tmp_path / "small.png")
    done = percept("compare", PAIR[0], "small.png", FAST, "--format=json")
    pair = json.loads(done.stdout)["pairs"][0]
    assert pair["notes"] == ["candidate resized from 120x90 to 256x256"]
    assert (pair["width"], pair["height"]) == (256, 256)
    done = percept("compare", PAIR[0], "small.png", "--resize=none")
    assert done.returncode == 3 and "sizes differ: reference 256x256" in done.stderr


def test_heat_maps_are_written(percept: Run, tmp_path: Path) -> None:
    done = percept("compare", *PAIR, "--heatmap=map.png")
    assert done.returncode == 0
    with Image.open(tmp_path / "map.png") as image:
        assert image.size == (256, 312)
    done = percept("compare", REFERENCES, SAMPLES / "jpeg-3", FAST, "--heatmap=maps")
    assert sorted(path.name for path in (tmp_path / "maps").iterdir())[0] == "article.jpg.png"
    assert len(list((tmp_path / "maps").iterdir())) == 5
    done = percept("compare", PAIR[0], PAIR[0], "--heatmap=none.png")
    assert "no heat map written" in done.stderr and not (tmp_path / "none.png").exists()
    done = percept("compare", *PAIR, "--distance=gram", "--heatmap=map.png")
    assert done.returncode == 2 and "has no positions" in done.stderr


def test_asking_for_a_heat_map_changes_no_score(percept: Run) -> None:
    plain, mapped = (
        percept("compare", *PAIR, "--format=json", *flags).stdout
        for flags in ([], ["--heatmap=map.png"])
    )
    assert '"heatmap": "map.png"' in mapped
    assert plain == mapped.replace('"heatmap": "map.png"', '"heatmap": null')


def test_heat_maps_stay_inside_their_folder_and_apart(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(PAIR[1], tmp_path / "x.jpg")
    line = json.dumps({"reference": str(PAIR[0]), "candidate": "../x.jpg"}) + "\n"
    (tmp_path / "in" / "m.jsonl").write_text(line * 2)
    done = percept("compare", "--pairs=in/m.jsonl", FAST, "--heatmap=in/maps")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "in/maps").iterdir()) == [
        "x.jpg-2.png", "x.jpg.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_interrupt_leaves_complete_lines(
    sent: signal.Signals, code: int, form: str, tmp_path: Path
) -> None:
    copies = [{"reference": str(PAIR[0]), "candidate": str(PAIR[1])}] * 500
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(copy) + "\n" for copy in copies))
    output = tmp_path / f"r.{form}"
    output.write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-m", "percept_cli", "compare", "--pairs=m.jsonl", f"--output={output}"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
        # Whoever starts the tests in a shell's background ignores it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    part = tmp_path / f"r.{form}.part"
    while not part.exists() or part.read_text().count("\n") < 2:
        assert process.poll() is None and output.read_text() == "old"
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted" in said and "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} >= {"m.jsonl", output.name}
    if form == "jsonl":
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert 1 < len(lines) < 500 and not part.exists()
        assert lines[-1]["summary"]["complete"] is False
        assert lines[-1]["summary"]["compared"] == len(lines) - 1
    else:  # CSV cannot say that it ends too early.
        assert output.read_text() == "old" and "r.csv.part" in said
        assert 1 <= len(list(csv.DictReader(part.read_text().splitlines()))) < 500


def test_an_interrupt_while_it_starts_ends_quietly() -> None:
    script = (
        "import sys, types; import percept_cli.cli as cli\n"
        "class Stops(types.ModuleType):\n"
        "    def __getattr__(self, name): raise KeyboardInterrupt\n"
        "sys.modules['percept_cli.cli.app'] = Stops('app'); cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare"], "name a REFERENCE and a CANDIDATE"),
        (["compare", "a.png"], "name a REFERENCE and a CANDIDATE"),
        (["compare", "a.png", "b.png", "--pairs=m.csv"], "leave out REFERENCE"),
        (["compare", "a.png", "b.png", "--layrs=x"], "--layrs"),
        (["compare", "a.png", "b.png", "--limit=-1"], "--limit"),
        (["compare", "a.png", "b.png", "--layer-weight=conv1_1"], "give LAYER=WEIGHT"),
        (["compare", "--pairs=-", "--format=table"], "use jsonl or csv"),
        (["compare", "--pairs=-", "--sort=total"], "use jsonl or csv"),
        (["compare", "--pairs=none.csv"], "none.csv: cannot be read"),
        (["compare", "a.png", "b.png", "--device=cuda9"], "unknown device"),
        (["weights", "fetch"], "Missing argument"),
        (["compair"], "No such command"),
    ],
)
def test_wrong_usage_is_one_line_and_two(percept: Run, arguments: list[str], message: str) -> None:
    done = percept(*arguments, stdin="")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1 and message in done.stderr


def test_version_and_help(percept: Run) -> None:
    assert percept("--version").stdout.startswith("percept 0.")
    assert "--layer-weight" in percept("compare", "-h").stdout


def test_nothing_that_is_compared_is_written_to(percept: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(REFERENCES, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for flags in (
        ["a", "b", "--heatmap=b"], ["a", "b", "--heatmap=a/maps"], ["a", "b", "--output=b/r.csv"],
        ["a/coffee.png", "b/coffee.png", "--heatmap=a/coffee.png"],
        ["a/coffee.png", "b/coffee.png", "--output=b/coffee.png", "--format=csv"],
    ):  # fmt: skip
        done = percept("compare", *flags)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "among what is compared and would be overwritten" in done.stderr
    (tmp_path / "pairs.csv").write_text("reference,candidate\na/coffee.png,b/coffee.png\n")
    for name in ("a/coffee.png", "a/coffee.webp"):
        done = percept("compare", "--pairs=pairs.csv", f"--output={name}", "--format=csv")
        assert done.returncode == 2 and f"{name}: an image's name" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


def test_a_heat_maps_name_tells_a_file_from_a_folder(percept: Run, tmp_path: Path) -> None:
    done = percept("compare", *PAIR, FAST, "--heatmap=h")
    assert done.returncode == 0 and (tmp_path / "h/coffee.jpg.png").is_file()
    done = percept("compare", REFERENCES, SAMPLES / "jpeg-3", "--heatmap=h.png")
    assert done.returncode == 2 and "h.png: name a folder" in done.stderr


def test_a_narrow_terminal_shows_the_worst_layer(tmp_path: Path) -> None:
    command = f"{sys.executable} -m percept_cli compare {REFERENCES} {SAMPLES / 'edit-1'} {FAST}"
    width = {"COLUMNS": "70", "TERM": "xterm", "NO_COLOR": "1"}
    done = subprocess.run(
        ["script", "-qec", f"{command},conv2_1,conv2_2,pool2", "/dev/null"],
        capture_output=True, text=True, cwd=tmp_path, env=clean_environment(**width),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "worst layer" in done.stdout and "size" not in done.stdout.split("pairs:")[0]


def test_weights_of_layers_from_the_environment_give_way_to_chosen_layers(percept: Run) -> None:
    weights = {"PERCEPT_LAYER_WEIGHT": "conv1_1=2,conv4_1=3"}
    done = percept(
        "compare", PAIR[0], PAIR[0], "--layers=conv1_1,pool1", "--format=json", **weights
    )
    assert json.loads(done.stdout)["settings"]["layer_weights"] == {"conv1_1": 2, "pool1": 1}


def test_output_may_be_standard_output(percept: Run, tmp_path: Path) -> None:
    done = percept("compare", PAIR[0], PAIR[0], "--output=-", "--format=csv")
    assert done.stdout.startswith("reference,") and not list(tmp_path.iterdir())
