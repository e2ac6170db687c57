"""Baselines on an object store, and candidates in tar files: `check` and `approve`."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Run
from object_store import client_of_store
from PIL import Image

import percept_cli
from percept_cli.errors import PerceptError
from percept_cli.inputs import stored
from percept_cli.inputs.stored import Remote


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Candidates: three views, one of them in a folder below."""
    folder = tmp_path / "shots"
    (folder / "below").mkdir(parents=True)
    image = Image.open(SAMPLES / "references/dashboard.png").convert("RGB")
    for name, left in (("home.png", 0), ("list.png", 200), ("below/form.png", 400)):
        image.crop((left, 0, left + 160, 120)).save(folder / name)
    return folder


def change(file: Path) -> None:
    image = Image.open(file)
    image.paste((200, 30, 30), (40, 40, 90, 90))
    image.save(file)


def objects(below: str) -> dict[str, bytes]:
    """What the store holds below a name."""
    client = client_of_store()
    keys = client.list_objects_v2(Bucket="eval", Prefix=f"{below}/").get("Contents", [])
    return {
        key["Key"].removeprefix(f"{below}/"): client.get_object(Bucket="eval", Key=key["Key"])[
            "Body"
        ].read()
        for key in keys
    }


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_baselines_are_made_checked_and_accepted_on_a_store(
    percept: Run, tmp_path: Path, shots: Path, store: dict[str, str]
) -> None:
    url = "s3://eval/baselines"
    none = percept("check", url, "shots", **store)
    assert none.returncode == 2
    assert (
        none.stderr == f"percept: {url}: no baselines: make them: percept approve -- {url} shots\n"
    )
    assert percept("approve", url, "shots", "--dry-run", **store).returncode == 0
    assert not objects("baselines")
    made = percept("approve", url, "shots", **store)
    assert made.returncode == 0 and made.stdout.count("added") == 3, made.stderr
    assert f"added      {url}/below/form.png" in made.stdout
    assert objects("baselines") == files(shots)
    same = percept("check", url, "shots", "--json=s3://eval/same.json", **store)
    assert same.returncode == 0 and "3 identical" in same.stdout, same.stderr
    saved = client_of_store().get_object(Bucket="eval", Key="same.json")["Body"].read()
    assert json.loads(saved)["summary"]["verdict"] == "passed"
    (tmp_path / "here").mkdir()
    assert percept("approve", "here", "shots").returncode == 0
    change(shots / "home.png")
    (shots / "list.png").unlink()
    outputs = "--json=found.json", "--report=report", "--report-copy"
    failed = percept("check", url, "shots", *outputs, **store)
    assert failed.returncode == 1, failed.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    percept("check", "here", "shots", "--json=local.json")
    local = json.loads((tmp_path / "local.json").read_text())
    assert [statuses_of(p) for p in found["pairs"]] == [statuses_of(p) for p in local["pairs"]]
    assert {p["status"] for p in found["pairs"]} == {"identical", "failed", "missing"}
    # The page has pictures of the baselines too, and copies of what failed.
    page = (tmp_path / "report/index.html").read_text()
    assert page.count("pictures/") >= 6
    assert {p.read_bytes() for p in (tmp_path / "report/originals").iterdir()} >= {
        objects("baselines")["home.png"], (shots / "home.png").read_bytes(),
    }  # fmt: skip
    refused = percept("approve", "--from=found.json", **store)
    assert refused.returncode == 2 and "name BASELINE and CANDIDATE instead" in refused.stderr
    accepted = percept("approve", url, "shots", "--prune", **store)
    assert accepted.stdout.splitlines() == [
        f"updated    {url}/home.png", f"removed    {url}/list.png",
    ]  # fmt: skip
    assert objects("baselines") == files(shots)


def statuses_of(pair: dict[str, Any]) -> tuple[Any, ...]:
    return Path(pair["candidate"] or pair["reference"]).name, pair["status"], pair["peak"]


def test_variants_are_made_and_found_on_a_store(
    percept: Run, shots: Path, store: dict[str, str]
) -> None:
    url = "s3://eval/variants"
    assert percept("approve", url, "shots", **store).returncode == 0
    change(shots / "home.png")
    made = percept("approve", url, "shots", "--variant=mac", **store)
    assert made.stdout == f"added      {url}/home~mac.png\n"
    for two in ((url, "shots"), (f"{url}/home.png", "shots/home.png")):
        done = percept("check", *two, **store)
        assert done.returncode == 0 and f"passed as {url}/home~mac.png" in done.stdout
    assert percept_cli.check(shots, shots.as_uri()).passed


def test_what_a_store_refuses_is_an_error_of_its_image(
    percept: Run, shots: Path, store: dict[str, str]
) -> None:
    done = percept("approve", "s3://eval/forbidden", "shots", **store)
    assert done.returncode in (2, 3) and "Traceback" not in done.stderr
    assert "s3://eval/forbidden" in done.stderr and "no permission" in done.stderr
    image = shots / "always.png"
    (shots / "home.png").rename(image)
    done = percept("approve", "s3://eval/some", "shots", **store)
    assert done.returncode == 3 and "s3://eval/some/always.png: cannot be used" in done.stderr
    assert set(objects("some")) == {"list.png", "below/form.png"}
    done = percept("check", "s3://eval/some", "shots", "--watch", **store)
    assert done.returncode == 2 and "images or folders of this machine" in done.stderr


def test_shards_that_are_stored_elsewhere_are_merged_shown_and_compared(
    percept: Run, tmp_path: Path, shots: Path, store: dict[str, str]
) -> None:
    shutil.copytree(shots, tmp_path / "base")
    change(shots / "home.png")
    there = "s3://eval/shards"
    shards = [f"{there}/{number}.json" for number in (1, 2)]
    for number, url in enumerate(shards, 1):
        percept("check", "base", "shots", f"--shard={number}/2", f"--json={url}", **store)
    done = percept("merge", *shards, f"--json={there}/all.json", "--report=page", **store)
    assert done.returncode == 1 and "1 failed" in done.stdout and "2 identical" in done.stdout
    assert "home.png" in (tmp_path / "page/index.html").read_text()
    whole = json.loads(objects("shards")["all.json"])
    assert whole["summary"]["verdict"] == "failed"
    said = percept("explain", f"{there}/all.json", "home.png", **store)
    assert said.returncode == 0 and "home.png" in said.stdout
    assert percept("diff", f"{there}/all.json", f"{there}/all.json", **store).returncode == 0
    drawn = percept("plot", *[f"{there}/all.json"] * 2, "--output=runs.png", **store)
    assert drawn.returncode == 0 and (tmp_path / "runs.png").stat().st_size > 0, drawn.stderr
    gone = percept("report", f"{there}/none.json", **store)
    assert gone.returncode == 2 and "none.json: no such object" in gone.stderr
    percept("approve", f"{there}/base", "base", **store)
    percept("check", f"{there}/base", "shots", f"--json={there}/own.json", **store)
    shown = percept("report", f"{there}/own.json", **store)
    assert shown.returncode == 0 and ", elsewhere: the report of" in shown.stderr
    typo = percept("approve", "s3://evil/base", "shots", **store)
    assert typo.returncode == 3 and "no such bucket, or folder" in typo.stderr


def test_no_baseline_is_lost_by_what_goes_wrong(
    percept: Run, shots: Path, store: dict[str, str]
) -> None:
    client, content = client_of_store(), (shots / "list.png").read_bytes()
    for name in ("one/home.png", "kept/locked.png"):
        client.put_object(Bucket="eval", Key=name, Body=content)
    done = percept("approve", "s3://eval/one/home.png", "shots", **store)
    assert done.returncode == 2 and "name a folder of baselines" in done.stderr
    assert objects("one") == {"home.png": content}
    Image.open(shots / "home.png").save(shots / "locked.webp")
    done = percept("approve", "s3://eval/kept", "shots", "locked*", **store)
    assert done.returncode == 3 and "kept/locked.webp: no permission" in done.stderr
    assert objects("kept") == {"locked.png": content} and "removed" not in done.stdout


def test_two_colons_are_part_of_a_name_below_a_url(
    percept: Run, shots: Path, store: dict[str, str]
) -> None:
    change((shots / "home.png").rename(shots / "list.png::x.png"))
    url = "s3://eval/chains"
    assert percept("approve", url, "shots", **store).returncode == 0
    assert objects("chains") == files(shots)
    assert "3 identical" in percept("check", url, "shots", **store).stdout
    assert "3 identical" in percept("check", "shots", url, **store).stdout
    refused = percept("check", url, "shots", f"--json={url}/results.json", **store)
    assert refused.returncode == 2 and "would be overwritten" in refused.stderr
    for flag in ("--report", "--heatmap"):
        refused = percept("check", url, "shots", f"{flag}=s3://eval/page", **store)
        assert refused.returncode == 2 and "no URL is taken here" in refused.stderr
    gone = percept("check", "shots", "s3://eval/typo", **store)
    assert gone.returncode == 2 and "s3://eval/typo: no such folder" in gone.stderr


def test_what_cannot_be_asked_for_is_not_taken_for_gone(
    store: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "FIRST_PAUSE", 0.001)
    web = f"{store['AWS_ENDPOINT_URL']}/eval"
    assert not Remote(f"{web}/nothing.png").exists()
    for name in ("forbidden.png", "always.png"):
        with pytest.raises(PerceptError, match="cannot be used"):
            Remote(f"{web}/{name}").exists()
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    assert Remote("s3://eval").exists() and Remote("s3://eval/truth").exists()
    assert not Remote("s3://eval/nothing").exists()
    with pytest.raises(PerceptError, match="no permission"):
        Remote("s3://eval/forbidden").exists()


def test_candidates_in_a_tar_file_are_accepted_but_for_names_that_lead_out(
    percept: Run, tmp_path: Path, shots: Path, store: dict[str, str]
) -> None:
    outside = tmp_path / "out.png"
    with tarfile.open(tmp_path / "shots.tar", "w") as tar:
        tar.add(shots, ".")
        for name in ("../out.png", str(outside)):
            info = tarfile.TarInfo(name)
            content = (shots / "home.png").read_bytes()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    done = percept("approve", "base", "shots.tar")
    assert done.returncode == 3 and "outside of base, where nothing is written" in done.stderr
    assert files(tmp_path / "base") == files(shots) and not outside.exists()
    done = percept("approve", "s3://eval/of-tar/base", "shots.tar", **store)
    assert set(objects("of-tar")) == {f"base/{name}" for name in (*files(shots), str(outside))}
    assert "3 identical" in percept("check", "base", "shots.tar", "--allow-new").stdout
    change(shots / "home.png")
    with tarfile.open(tmp_path / "shots.tar", "w") as tar:
        tar.add(shots, ".")
    percept("check", "base", "shots.tar", "--json=found.json")
    assert percept("approve", "--from=found.json").stdout == "updated    base/home.png\n"
    assert files(tmp_path / "base") == files(shots)
    done = percept("approve", "shots.tar", "base")
    assert done.returncode == 2 and "a tar file cannot be changed: unpack it" in done.stderr
