"""A real S3 server on the loopback address, and before it one that lets requests fail."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
from conftest import SAMPLES
from moto.server import ThreadedMotoServer

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "jpeg-2"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-nobody"}


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
            elif "forbidden" in self.path or ("locked" in self.path and self.command == "PUT"):
                self._answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            else:
                if "slow" in self.path:
                    time.sleep(0.5)
                self._pass_on(cut="short" in self.path)
        finally:
            with self.lock:
                self.together[0] -= 1

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

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


def running_store() -> Iterator[dict[str, str]]:
    """What the environment says of a store with two folders of images in the bucket `eval`."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    Faulty.store, Faulty.asked = f"http://{host}:{port}", Counter()
    before = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    threading.Thread(target=before.serve_forever, daemon=True).start()
    client = client_of_store()
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


def client_of_store() -> Any:
    """Asks the store itself, without faults."""
    return boto3.client(
        "s3",
        endpoint_url=Faulty.store,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )


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
