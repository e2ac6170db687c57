"""Images on object stores, behind URLs and in tar files: a real S3 server, with faults."""

from __future__ import annotations

import datetime
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pytest
from conftest import SAMPLES, Run
from object_store import CHANGED, REFERENCES, Faulty, client_of_store, percept_with
from pyarrow import parquet

import percept_cli
from percept_cli.errors import PerceptError
from percept_cli.inputs.stored import Member, Remote, members, place_of, without_secrets

LAYERS = "--layers=conv1_1"


def scores(text: str) -> dict[str, float]:
    pairs = json.loads(text)["pairs"]
    return {Path(pair["candidate"]).name: pair["total"] for pair in pairs}


def test_folders_manifests_and_outputs_are_read_and_written(
    percept: Run, tmp_path: Path, store: dict[str, str]
) -> None:
    here = percept("compare", REFERENCES, CHANGED, LAYERS, "--format=json")
    urls = "s3://eval/truth", "s3://eval/outputs"
    done = percept("compare", *urls, LAYERS, "--output=s3://eval/scores/all.json", **store)
    assert done.returncode == 0, done.stderr
    stored = percept_with(store, tmp_path, "s3://eval/scores/all.json")
    assert scores(stored) == scores(here.stdout)
    assert json.loads(stored)["settings"]["candidates"] == "s3://eval/outputs"
    assert json.loads(stored)["pairs"][0]["candidate"].startswith("s3://eval/outputs/")
    lines = ["reference,candidate,codec"]
    lines += [f"truth/{n}.png,outputs/{n}.jpg,jpeg" for n in ("coffee", "chelsea")]
    client = client_of_store()
    client.put_object(Bucket="eval", Key="pairs.csv", Body="\n".join(lines).encode())
    done = percept("compare", "--pairs=s3://eval/pairs.csv", LAYERS, "--format=json", **store)
    found = scores(done.stdout)
    assert found == {name: scores(here.stdout)[name] for name in ("coffee.jpg", "chelsea.jpg")}
    # A local manifest may name URLs.
    (tmp_path / "m.csv").write_text(
        f"reference,candidate\n{REFERENCES / 'coffee.png'},s3://eval/outputs/coffee.jpg\n"
    )
    done = percept("compare", "--pairs=m.csv", LAYERS, "--format=json", **store)
    assert scores(done.stdout) == {"coffee.jpg": found["coffee.jpg"]}


def test_a_fault_costs_its_own_pair_and_what_passes_is_tried_again(
    percept: Run, tmp_path: Path, store: dict[str, str]
) -> None:
    names = ("busy", "always", "forbidden", "slow-1", "slow-2", "slow-3", "short", "gone", "empty")
    lines = [f"s3://eval/truth/coffee.png,s3://eval/faults/{name}.jpg" for name in names]
    (tmp_path / "m.csv").write_text("\n".join(["reference,candidate", *lines]))
    Faulty.asked.clear()
    Faulty.together[:] = [0, 0]
    start = time.monotonic()
    done = percept("compare", "--pairs=m.csv", LAYERS, "--format=json", **store)
    seconds = time.monotonic() - start
    assert done.returncode == 3
    pairs = {Path(p["candidate"]).stem: p for p in json.loads(done.stdout)["pairs"]}
    assert list(pairs) == list(names)
    good = {name for name, pair in pairs.items() if pair["status"] == "compared"}
    assert good == {"busy", "slow-1", "slow-2", "slow-3"}
    assert len({pairs[name]["total"] for name in good}) == 1
    errors = {name: pair["error"] for name, pair in pairs.items() if pair["error"]}
    assert "no such object: check the URL" in errors["gone"]
    assert "no permission: check your credentials" in errors["forbidden"]
    assert "the file is empty" in errors["empty"]
    assert "cannot be used" in errors["always"] and "cannot be used" in errors["short"]
    for name, error in errors.items():
        assert error.startswith(f"s3://eval/faults/{name}.jpg: ")
        assert "Traceback" not in error
    told = done.stdout + done.stderr
    assert "s3cr3t" not in told
    assert Faulty.together[1] > 3, "reads overlap"
    assert 2 < Faulty.asked["/eval/faults/busy.jpg"] < 12
    assert Faulty.asked["/eval/faults/always.jpg"] < 40, "tries are bounded"
    assert Faulty.asked["/eval/faults/gone.jpg"] < 4, "what is not there is not asked for again"
    assert seconds < 60


def test_a_bucket_without_permission_is_one_clear_error(
    percept: Run, store: dict[str, str]
) -> None:
    done = percept("compare", REFERENCES, "s3://forbidden/outputs", LAYERS, **store)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("percept: s3://forbidden/outputs: ")
    done = percept("compare", REFERENCES, "s3://eval/nothing", LAYERS, **store)
    assert done.returncode == 2 and "s3://eval/nothing" in done.stderr
    done = percept("compare", REFERENCES, "nosuch://eval/nothing", LAYERS)
    assert done.returncode == 2 and "nosuch://eval/nothing" in done.stderr


@pytest.fixture
def site() -> Iterator[str]:
    """The sample images over HTTP."""
    handler = partial(Quiet, directory=SAMPLES)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_no_secret_of_a_url_is_written_anywhere(percept: Run, site: str, tmp_path: Path) -> None:
    url = site.replace("//", "//user:hunter2@") + "/jpeg-2/coffee.jpg?sig=hunter3"
    done = percept(
        *("compare", REFERENCES / "coffee.png", url, LAYERS, "--format=json", "--report=r")
    )
    assert done.returncode == 0, done.stderr
    gone = percept("compare", REFERENCES / "coffee.png", url.replace("coffee", "gone"), LAYERS)
    assert gone.returncode == 3 and "no such object" in gone.stderr
    texts = [done.stdout, done.stderr, gone.stderr, (tmp_path / "r/index.html").read_text()]
    assert not any("hunter" in text for text in texts)
    assert json.loads(done.stdout)["pairs"][0]["candidate"] == f"{site}/jpeg-2/coffee.jpg"


def test_file_urls_are_paths() -> None:
    path = REFERENCES / "coffee.png"
    assert place_of(path.as_uri()) == path and place_of("C:/a.png") == Path("C:/a.png")
    result = percept_cli.compare(path.as_uri(), path)
    assert result.status == "identical"
    assert str(Remote("https://u:p@host:8/a/b.png?q=1#f")) == "https://host:8/a/b.png"
    assert (Remote("s3://b/a/c.png").name, Remote("s3://b/a/").name) == ("c.png", "a")
    assert Remote("s3://b/a/c.csv").parent / "d.png" == Remote("s3://b/a/d.png")


def tar_of(folder: Path, archive: Path, mode: str = "w") -> None:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
        note = tarfile.TarInfo("notes/read.txt")
        note.size = 4
        tar.addfile(note, io.BytesIO(b"text"))


def test_tar_files_are_folders(percept: Run, tmp_path: Path, store: dict[str, str]) -> None:
    tar_of(CHANGED, tmp_path / "outputs.tar")
    here = percept("compare", REFERENCES, CHANGED, LAYERS, "--format=json")
    done = percept("compare", REFERENCES, "outputs.tar", LAYERS, "--format=json")
    assert done.returncode == 0 and scores(done.stdout) == scores(here.stdout)
    assert json.loads(done.stdout)["pairs"][0]["candidate"].startswith("outputs.tar/")
    assert "outputs.tar/notes/read.txt" in json.loads(done.stdout)["summary"]["left_out"]
    client = client_of_store()
    client.upload_file(str(tmp_path / "outputs.tar"), "eval", "outputs.tar")
    done = percept("compare", REFERENCES, "s3://eval/outputs.tar", LAYERS, "--format=json", **store)
    assert scores(done.stdout) == scores(here.stdout), done.stderr
    results = percept_cli.score_folders(REFERENCES, tmp_path / "outputs.tar", layers="conv1_1")
    assert {Path(r.candidate or "").name: r.total for r in results} == scores(here.stdout)


def test_links_in_a_tar_file_are_what_they_lead_to(percept: Run, tmp_path: Path) -> None:
    pictures = {"t": REFERENCES / "coffee.png", "c": SAMPLES / "shift-1/coffee.png"}
    for name, picture in pictures.items():
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            tar.add(picture, "./sub/real.png")
            links = (tarfile.LNKTYPE, "./sub/real.png"), (tarfile.SYMTYPE, "../sub/real.png")
            for number, (kind, target) in enumerate((*links, (tarfile.SYMTYPE, "real.png"))):
                link = tarfile.TarInfo(f"./sub/{number}.png")
                link.type, link.linkname = kind, target
                tar.addfile(link)
            for name, target in (
                *(("lost.png", "lost.png"), ("latest", "sub"), ("3.png", "latest/2.png")),
                ("sub/0.png", "../lost.png"),
            ):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
            tar.add(picture, "./sub/0.png")  # The last of a name counts.
            # GNU tar stores so what it is told of twice; a folder may take the place of a link.
            tar.add(picture, "twice.png")
            again = tarfile.TarInfo("twice.png")
            again.type, again.linkname = tarfile.LNKTYPE, "twice.png"
            tar.addfile(again)
            tar.add(picture, "latest/more.png")
    done = percept("compare", "t.tar", "c.tar", LAYERS, "--format=json")
    pairs = {Path(pair["candidate"]).name: pair for pair in json.loads(done.stdout)["pairs"]}
    names = "real", 0, 1, 2, 3, "twice", "more"
    totals = {pairs[f"{name}.png"]["total"] for name in names}
    assert done.returncode == 3 and len(totals) == 1 and None not in totals
    assert "lost.png: a link to nothing in the tar file" in pairs["lost.png"]["error"]
    left_out = json.loads(done.stdout)["summary"]["left_out"]
    assert left_out == ["t.tar/latest (a link to a folder)", "c.tar/latest (a link to a folder)"]


def test_a_tar_file_that_is_none_or_cut_short_is_an_error(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "none.tar").write_bytes(b"no tar file " * 100)
    done = percept("compare", REFERENCES, "none.tar")
    assert done.returncode == 2 and "none.tar: no tar file" in done.stderr
    tar_of(CHANGED, tmp_path / "packed.tar", "w:gz")
    done = percept("compare", REFERENCES, "packed.tar")
    assert done.returncode == 2 and "uncompressed" in done.stderr
    tar_of(CHANGED, tmp_path / "whole.tar")
    last = list(members(tmp_path / "whole.tar")[0].values())[-2]
    short = tmp_path / "short.tar"
    short.write_bytes((tmp_path / "whole.tar").read_bytes()[: last.start + 100])
    cut = Member(short, last.name, last.start, last.size)
    with pytest.raises(PerceptError, match="cut short"):
        cut.read(1 << 20)
    with pytest.raises(PerceptError, match="over --max-bytes 10"):
        cut.read(10)


@pytest.mark.parametrize(
    "text",
    [
        "https://u:hunter2@host/a.png?X-Amz-Signature=hunter3%2Fx",
        "403, message='Forbidden', url='https://host/a.png?se=2026%3A&sig=hunter2'",
        "zip://a.png::https://user:hunter2@host/x.zip?sig=hunter3",
        "error at s3://key:hunter2@bucket/a",
        "https://hunter2@host/a.png#hunter3",
    ],
)
def test_secrets_are_told_by_their_form(text: str) -> None:
    assert "hunter" not in without_secrets(text)
    assert without_secrets("s3://b/a#1.png s3://b/a?2.png") == "s3://b/a#1.png s3://b/a?2.png"
    assert str(Remote("abfs://box@account.host/a.png")) == "abfs://box@account.host/a.png"


def test_a_manifest_with_a_url_is_not_overwritten_by_its_results(
    percept: Run, store: dict[str, str]
) -> None:
    done = percept(
        "compare", "--pairs=s3://eval/pairs.csv", "--output=s3://eval/pairs.csv", **store
    )
    assert done.returncode == 2 and "would be overwritten" in done.stderr


def test_what_a_manifest_says_besides_is_plain(percept: Run, tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "reference": [str(REFERENCES / "coffee.png")] * 3,
            "candidate": [str(CHANGED / "coffee.jpg"), "https://[x/a.png", None],
            "seed": [9007199254740993, 2, 3],
            "rate": [0.5, float("nan"), 1.0],
            "when": [datetime.datetime(2026, 1, 2)] * 3,
            "good": [True, False, None],
        }
    )
    parquet.write_table(table, tmp_path / "m.parquet")
    done = percept("compare", "--pairs=m.parquet", LAYERS, "--output=r.parquet")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    rows = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert [row["seed"] for row in rows] == [9007199254740993, 2, 3]
    assert [row["rate"] for row in rows] == [0.5, None, 1.0]
    assert [row["good"] for row in rows] == [True, False, None]
    assert rows[0]["when"].startswith("2026-01-02") and rows[1]["error"] and rows[2]["error"]
    for form in ("jsonl", "csv", "json"):
        assert percept("compare", "--pairs=m.parquet", LAYERS, "--format", form).returncode == 3


def test_a_web_server_without_parts_and_with_encoded_names(percept: Run, tmp_path: Path) -> None:
    folder = tmp_path / "web" / "images"
    folder.mkdir(parents=True)
    for name in ("plain.jpg", "a b.jpg", "50% é#1?x::y.jpg"):
        (folder / name).write_bytes((CHANGED / "coffee.jpg").read_bytes())
    tar_of(folder, tmp_path / "web" / "images.tar")
    handler = partial(Quiet, directory=tmp_path / "web")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/images"
    for place in (url, f"{url}.tar"):
        done = percept("compare", folder, place, "--format=json")
        assert json.loads(done.stdout)["summary"]["identical"] == 3, done.stderr
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "s3://eval/truth", "."),
        ("compare", ".", ".", "--cache=s3://eval/cache"),
        ("merge", "results.json", "--report=s3://eval/report"),
        ("approve", "--from=s3://eval/results.json"),
        ("plot", "results.json", "--output=s3://eval/plot.png"),
    ],
)
def test_a_url_where_none_is_taken_is_an_error(percept: Run, arguments: tuple[str, ...]) -> None:
    done = percept(*arguments)
    assert done.returncode == 2
    assert "no URL is taken here: name a path of this machine" in done.stderr
    assert done.stderr.startswith("percept: s3://eval/")


def test_what_came_after_the_first_look_is_found(
    store: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PerceptError, match="s3://eval/late: no such file or folder"):
        percept_cli.check("s3://eval/late", CHANGED)
    content = (CHANGED / "coffee.jpg").read_bytes()
    client_of_store().put_object(Bucket="eval", Key="late/", Body=b"")
    client_of_store().put_object(Bucket="eval", Key="late/coffee.jpg", Body=content)
    (found,) = (r for r in percept_cli.check("s3://eval/late", CHANGED) if r.reference)
    assert found.status == "identical"


def test_a_folder_may_be_called_like_a_tar_file(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "shots.tar").mkdir()
    (tmp_path / "shots.tar/coffee.jpg").write_bytes((CHANGED / "coffee.jpg").read_bytes())
    assert percept("approve", "base", "shots.tar").returncode == 0
    (tmp_path / "base").rename(tmp_path / "base.tar")
    done = percept("check", "base.tar", "shots.tar")
    assert done.returncode == 0 and "1 identical" in done.stdout
    assert "1 unchanged" in percept("approve", "base.tar", "shots.tar").stderr


def test_a_file_with_holes_in_a_tar_file_is_an_error_of_its_own(
    percept: Run, tmp_path: Path
) -> None:
    picture = REFERENCES / "coffee.png"
    holes = {"GNU.sparse.size": "9000000", "GNU.sparse.map": "0,4096"}
    for folder, extra in (("c", holes), ("t", {})):
        with tarfile.open(tmp_path / f"{folder}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(picture, "whole.png")
            info = tar.gettarinfo(picture, "sparse.png")
            info.pax_headers = extra
            tar.addfile(info, io.BytesIO(picture.read_bytes()))
    done = percept("compare", "t.tar", "c.tar", LAYERS, "--format=json")
    assert done.returncode == 3
    found = {Path(p["candidate"]).name: p for p in json.loads(done.stdout)["pairs"]}
    assert found["whole.png"]["status"] == "identical"
    assert "c.tar/sparse.png: stored with holes: write the tar" in found["sparse.png"]["error"]
