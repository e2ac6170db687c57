"""Images on object stores, behind URLs and in tar files: a real S3 server, with faults."""

from __future__ import annotations

import datetime
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pyarrow
import pytest
from conftest import SAMPLES, Run
from moto.server import ThreadedMotoServer
from pyarrow import parquet

import percept_cli
from percept_cli.errors import PerceptError
from percept_cli.inputs.stored import Member, Remote, members, place_of, without_secrets

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "jpeg-2"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-nobody"}
LAYERS = "--layers=conv1_1"


class Faulty(BaseHTTPRequestHandler):
    """Stands before the store, and lets some requests fail by the name of their object."""

    protocol_version = "HTTP/1.1"
    store = ""
    asked: Counter[str]
    together = [0, 0]  # noqa: RUF012 -- now, and at most
    lock = threading.Lock()

    def do_GET(self) -> None:
        with self.lock:
            self.asked[self.path] += 1
            times = self.asked[self.path]
            self.together[0] += 1
            self.together[1] = max(self.together)
        try:
            if ("busy" in self.path and times <= 2) or "always" in self.path:
                self._answer(503, b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>")
            elif "forbidden" in self.path:
                self._answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            else:
                if "slow" in self.path:
                    time.sleep(0.5)
                self._pass_on(cut="short" in self.path)
        finally:
            with self.lock:
                self.together[0] -= 1

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

    def _pass_on(self, *, cut: bool) -> None:
        own = ("transfer-encoding", "expect", "connection")
        headers = {n: v for n, v in self.headers.items() if n.lower() not in own}
        headers.setdefault("Content-Type", "application/octet-stream")
        body = self._body()
        request = Request(self.store + self.path, body, headers, method=self.command)
        try:
            with urlopen(request) as answer:
                status, told, content = answer.status, answer.headers, answer.read()
        except HTTPError as error:
            status, told, content = error.code, error.headers, error.read()
        self.send_response(status)
        for name, value in told.items():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if "Content-Length" not in told:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if cut and self.command == "GET" and status in (200, 206):
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/xml")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """What the environment says of a store with two folders of images in the bucket `eval`."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    Faulty.store, Faulty.asked = f"http://{host}:{port}", Counter()
    before = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    threading.Thread(target=before.serve_forever, daemon=True).start()
    client = boto3.client(
        "s3",
        endpoint_url=Faulty.store,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    client.create_bucket(Bucket="eval")
    for folder, name in ((REFERENCES, "truth"), (CHANGED, "outputs")):
        for file in folder.iterdir():
            client.put_object(Bucket="eval", Key=f"{name}/{file.name}", Body=file.read_bytes())
    coffee = (CHANGED / "coffee.jpg").read_bytes()
    for name in ("busy", "always", "forbidden", "slow-1", "slow-2", "slow-3", "short"):
        client.put_object(Bucket="eval", Key=f"faults/{name}.jpg", Body=coffee)
    client.put_object(Bucket="eval", Key="faults/empty.jpg", Body=b"")
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{before.server_address[1]}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # Plain bodies pass.
        **KEYS,
    }
    before.shutdown()
    before.server_close()
    server.stop()


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
    client = boto3.client("s3", endpoint_url=Faulty.store, region_name="us-east-1", **BOTO)
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


BOTO = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}


def percept_with(store: dict[str, str], folder: Path, url: str) -> str:
    """What an object holds, read as percept reads it."""
    code = (
        "import sys; from percept_cli.inputs.stored import place_of; "
        "sys.stdout.buffer.write(place_of(sys.argv[1]).read(1 << 30))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        cwd=folder,
        env=os.environ | store,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    client = boto3.client("s3", endpoint_url=Faulty.store, region_name="us-east-1", **BOTO)
    client.upload_file(str(tmp_path / "outputs.tar"), "eval", "outputs.tar")
    done = percept("compare", REFERENCES, "s3://eval/outputs.tar", LAYERS, "--format=json", **store)
    assert scores(done.stdout) == scores(here.stdout), done.stderr
    results = percept_cli.score_folders(REFERENCES, tmp_path / "outputs.tar", layers="conv1_1")
    assert {Path(r.candidate or "").name: r.total for r in results} == scores(here.stdout)


def test_a_tar_file_that_is_none_or_cut_short_is_an_error(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "none.tar").write_bytes(b"no tar file " * 100)
    done = percept("compare", REFERENCES, "none.tar")
    assert done.returncode == 2 and "none.tar: no tar file" in done.stderr
    tar_of(CHANGED, tmp_path / "packed.tar", "w:gz")
    done = percept("compare", REFERENCES, "packed.tar")
    assert done.returncode == 2 and "uncompressed" in done.stderr
    tar_of(CHANGED, tmp_path / "whole.tar")
    last = list(members(tmp_path / "whole.tar"))[-2]
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
