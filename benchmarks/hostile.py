"""Hostile inputs: what the command makes of each, before they were looked for and now.

    python benchmarks/hostile.py [REVISION]

REVISION (the last commit before the first hostile input was mended), for which a full clone is
needed, and the working tree get the same inputs. Each run of the command is a process forked from
one that has imported it. Writes its table to docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
import os
import pkgutil
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, machine, table
from PIL import Image

BEFORE = "b136046"
PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- hostile: benchmarks/hostile.py -->", "<!-- end -->"

LIMIT = 20
"""Seconds after which a run counts as one that never ends."""
MEMORY = 1200
"""Mebibytes that no run here has a reason to take; one that scores takes about 500."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "ICNS", "TGA", "PPM", "PCX", "SGI")
FORMATS += ("DDS", "JPEG2000", "AVIF", "MPO", "QOI")
FLIPS, RANDOM = 20, 100

KEYS = ("preset", "layers", "layer-weight", "distance", "raw", "blur", "tolerance", "weights")
KEYS += ("resize", "background", "ignore", "max-pixels", "workers", "precision", "device")
KEYS += ("peak-threshold", "threshold", "layer-threshold", "allow-new", "allow-unpaired", "images")
VALUES = ("1", "-1", "0", "1.5", "inf", "nan", "true", '""', '"x"', '"~nosuchuser/w"', "[]", "[1]")
VALUES += ('["x"]', '[["x"]]', "{}", "{conv1_1 = nan}", '{conv1_1 = "x"}', "1979-05-27", "07:32:00")
VALUES += ("9" * 30, "9" * 5000, "1e400", "[" * 2000)
FIELDS: tuple[Any, ...] = (None, True, -1, 1e30, "", "x", "\x1b[31m\n::error::x", [], [[]], {})
EACH = 5
"""Of all changes of a field of saved results each so-manieth is tried; the tests try all."""
NAMES = ("\x1b[31mred.png", "a\rb.png", "a\nb.png", "::error::x.png", "##[error]x.png", "=1+1.png")
NAMES += (
    "--variant=x.png",
    "-q.png",
    "a'b;touch x.png",
    "$(touch x).png",
    "\udcff.png",
    "\u202e.png",
)


@dataclass(frozen=True)
class Trial:
    """One input: what is put into a folder, what is run there, and how that may end."""

    kind: str
    prepare: Callable[[Path], object]
    """Fills `here` in the folder it is given, and what must stay as it is into `outside`."""
    arguments: tuple[str, ...]
    codes: frozenset[int]


COMPARE = ("compare", "r.png", "x.png", "--layers=conv1_1", "--quiet", "--format=json")
CHECK = ("check", "b", "s", "--layers=conv1_1", "--peak-threshold=0.1")
SCORED_OR_NOT, REFUSED = frozenset({0, 3}), frozenset({2, 3})
ANY = frozenset({0, 1, 2, 3})


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 24, 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    (image or picture()).save(stream, kind, **options)
    return stream.getvalue()


def put(content: bytes, folder: Path, name: str = "x.png") -> None:
    """A reference, and these bytes as its candidate."""
    (folder / "here/r.png").write_bytes(encoded("PNG", picture(1)))
    (folder / "here" / name).write_bytes(content)


def folders(folder: Path, name: str = "home.png", *, equal: bool = False) -> None:
    """Baselines and screenshots of one image."""
    for number, inside in enumerate("bs"):
        (folder / "here" / inside).mkdir()
        image = picture(0 if equal else number)
        (folder / "here" / inside / name).write_bytes(encoded("PNG", image))


def damaged() -> Iterator[Trial]:
    """Images cut off at every 5 %, with bits flipped, and bytes that only begin like one."""
    chance = random.Random(0)
    for kind in FORMATS:
        whole = encoded(kind)
        for part in range(20):
            cut = whole[: len(whole) * part // 20]
            yield Trial("images cut off", partial(put, cut), COMPARE, SCORED_OR_NOT)
        for _ in range(FLIPS):
            flipped = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            yield Trial(
                "images with flipped bits", partial(put, bytes(flipped)), COMPARE, ANY - {1}
            )
    starts = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF", b"II*\0")
    for number in range(RANDOM):
        content = starts[number % len(starts)] + chance.randbytes(chance.randint(0, 300))
        yield Trial("bytes that begin like an image", partial(put, content), COMPARE, SCORED_OR_NOT)


def lying() -> Iterator[Trial]:
    """Large images in small files, images in containers, and files that take long."""
    large = encoded("PNG", Image.new("L", (20000, 15000)))
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 8, len(large), 22)
    sizes = struct.pack(">I", len(large) + 16) + b"ic10" + struct.pack(">I", len(large) + 8)
    scans = encoded("JPEG", picture(1).resize((1000, 1000)), progressive=True)
    place = scans.index(b"\xff\xda")
    scan = scans[place : scans.index(b"\xff\xda", place + 2)]
    for content in (
        struct.pack("<HHH", 0, 1, 1) + entry + large,
        b"icns" + sizes + large,
        large,
        encoded("BMP")[:18] + struct.pack("<ii", 60000, 60000) + encoded("BMP")[26:],
        encoded("GIF")[:6] + struct.pack("<HH", 65535, 65535) + encoded("GIF")[10:],
        b"BLP2" + struct.pack("<i4B2I", 1, 1, 0, 0, 0, 20000, 20000) + bytes(2000),
        scans[:place] + scan * 2000 + scans[place:],
    ):
        for name in ("x.png", "x.jpg", "x.ico", "x"):
            arguments = (*COMPARE[:2], name, *COMPARE[3:])
            yield Trial(
                "large images in small files", partial(put, content, name=name), arguments, REFUSED
            )

    def sparse(folder: Path) -> None:
        put(b"", folder)
        with (folder / "here/x.png").open("r+b") as file:
            file.truncate(3 << 30)

    yield Trial("a file of 3 GiB that is no image", sparse, COMPARE, REFUSED)


def programs() -> Iterator[Trial]:
    """Formats that other programs would be started for, under the names of images."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n"
    for content in (
        script,
        b"\xc5\xd0\xd3\xc6" + struct.pack("<IIIIIIH", 32, len(script), *[0] * 5) + script,
    ):
        for name in ("x.png", "x.eps", "x.jpg", "x"):
            arguments = (*COMPARE[:2], name, *COMPARE[3:])
            prepare = partial(put, content, name=name)
            yield Trial("formats that start a program", prepare, arguments, REFUSED)


def places() -> Iterator[Trial]:
    """Paths that lead nowhere, special files, folders that link to each other, deep ones."""

    def special(make: Callable[[Path], object], folder: Path) -> None:
        put(b"", folder)
        (folder / "here/x.png").unlink()
        make(folder / "here/x.png")

    def link(target: str, path: Path) -> None:
        path.symlink_to(target)

    targets = ("x.png", "/dev/zero", "none", "/dev/full")
    for make in (os.mkfifo, Path.mkdir, *(partial(link, target) for target in targets)):
        yield Trial("special files and links", partial(special, make), COMPARE, REFUSED)
    for name in ("n" * 300 + ".png", "a/" * 2500 + "x.png", "r.png/x.png", "~nosuchuser/x.png"):
        arguments = (*COMPARE[:2], name, *COMPARE[3:])
        for command, codes in ((arguments, REFUSED), (("check", "r.png", name), REFUSED | {1})):
            yield Trial("special files and links", partial(put, b""), command, codes)

    def fan(folder: Path) -> None:
        folders(folder)
        for inside in "bs":
            place = folder / "here" / inside
            for level in range(18):
                (place / f"d{level}").mkdir()
                for number in range(2):
                    (place / f"d{level}" / f"l{number}").symlink_to(f"../d{level + 1}")
            (place / "d18").mkdir()

    def deep(folder: Path) -> None:
        folders(folder)
        before = os.getcwd()
        for inside in "bs":
            os.chdir(folder / "here" / inside)
            for _ in range(1200):
                os.mkdir("d")
                os.chdir("d")
            os.chdir(before)

    yield Trial("folders that link to each other, deep ones", fan, CHECK, frozenset({1}))
    yield Trial("folders that link to each other, deep ones", deep, CHECK, frozenset({1, 3}))


def configurations() -> Iterator[Trial]:
    """Values of another type, under each key, for the whole and for single images."""

    def write(text: str, folder: Path) -> None:
        folders(folder, equal=True)
        (folder / "here/percept.toml").write_text(text)

    for key in KEYS:
        for value in VALUES:
            for head in ("", '[images."*"]\n'):
                text = f"{head}{key} = {value}\n"
                yield Trial("configurations", partial(write, text), ("check", "b", "s", "-q"), ANY)


def saved(document: Any) -> Iterator[Trial]:
    """Saved results of which one field is another, or is gone."""

    def write(text: str, folder: Path) -> None:
        folders(folder)
        (folder / "here/r.json").write_text(text)

    def changed(value: Any) -> Iterator[Any]:
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            copied = copy.copy(value)
            for other in FIELDS:
                copied[key] = other
                yield copied
            if isinstance(value[key], dict | list):
                for part in changed(value[key]):
                    copied[key] = part
                    yield copied

    for number, other in enumerate(islice(changed(document), 0, None, EACH)):
        command = (
            ("report", "r.json", "--output=p")
            if number % 2
            else ("merge", "r.json", "--junit=j.xml")
        )
        yield Trial("saved results", partial(write, json.dumps(other)), command, ANY)
    for text in ("", "{}", "[]", "null", "[" * 100_000, '{"version": 1}', "\x00", "9" * 5000):
        yield Trial("saved results", partial(write, text), ("report", "r.json"), frozenset({2}))


def links() -> Iterator[Trial]:
    """Links out of the folders that percept writes into."""

    def lead(inside: str, target: str, folder: Path) -> None:
        folders(folder)
        (folder / "here/s/sub").mkdir()
        shutil.copy(folder / "here/s/home.png", folder / "here/s/sub/a.png")
        place = folder / "here" / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(folder / "outside" / target, place.parent))

    approve = ("approve", "b", "s", "--all")
    commands = [
        ("b/home.png", "rc", approve),
        ("b/sub", "photos", approve),
        ("b/sub", "none", approve),
        ("b/more", "photos", approve),
        ("p/pictures", "photos", ("check", "b", "s", "--report=p")),
        ("p/index.html", "rc", ("check", "b", "s", "--report=p")),
        ("m/home.png", "photos/a.png", ("compare", "b", "s", "--heatmap=m")),
    ]
    commands += [(inside, target, (*approve, "--prune")) for inside, target, _ in commands[:4]]
    for inside, target, command in commands:
        yield Trial("links out of the folders", partial(lead, inside, target), command, ANY)


def names() -> Iterator[Trial]:
    """Names that command a terminal, a runner, a shell or percept itself."""
    for name in NAMES:
        for command in (CHECK, (*CHECK, "--report=p"), ("compare", "b", "s", "--layers=conv1_1")):
            codes = frozenset({0} if command[0] == "compare" else {1})
            codes |= {3} if any(map(is_surrogate, name)) else set()  # No UTF-8.
            yield Trial("names of files", partial(folders, name=name), command, codes)


def is_surrogate(letter: str) -> bool:
    return "\ud800" <= letter <= "\udfff"


def outputs() -> Iterator[Trial]:
    """Outputs that cannot be written, of checks that pass."""

    def block(folder: Path) -> None:
        folders(folder, equal=True)
        (folder / "here/file").write_text("")

    check, compare = ("check", "b", "s", "-q"), ("compare", "b", "s", "-q")
    for place in ("file/x", "n" * 300):
        for option in ("json", "junit", "report"):
            command = (*check, f"--{option}={place}")
            yield Trial("outputs that cannot be", block, command, REFUSED)
        yield Trial("outputs that cannot be", block, (*compare, f"--output={place}"), REFUSED)


def trials(document: Any) -> Iterator[Trial]:
    for make in (damaged, lying, programs, places, configurations):
        yield from make()
    yield from saved(document)
    for make in (links, names, outputs):
        yield from make()


def serve() -> None:
    """Read a folder and a command a line; run it in a fork, and answer how that ended."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import percept_cli

    sys.setrecursionlimit(1000)
    for module in pkgutil.walk_packages(percept_cli.__path__, "percept_cli."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(folder, arguments)
        start = time.monotonic()
        found, status, usage = os.wait4(pid, os.WNOHANG)
        while not found and time.monotonic() < start + LIMIT:
            time.sleep(0.003)
            found, status, usage = os.wait4(pid, os.WNOHANG)
        code = None
        if found:
            code = os.waitstatus_to_exitcode(status)
        else:
            os.killpg(pid, signal.SIGKILL)
            _, _, usage = os.wait4(pid, 0)
        print(json.dumps([code, usage.ru_maxrss / 1024]), flush=True)


def _run(folder: str, arguments: list[str]) -> None:
    """Be the command, to the end of this process."""
    code: Any = 1
    try:
        os.setsid()
        os.chdir(Path(folder) / "here")
        for descriptor, name in enumerate(("/dev/null", f"{folder}/stdout", f"{folder}/stderr")):
            flags = os.O_RDWR | (os.O_CREAT if descriptor else 0)
            os.dup2(os.open(name, flags), descriptor)
        sys.argv = ["percept", *arguments]
        from percept_cli.cli import main

        main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def state(folder: Path) -> list[tuple[str, bytes | None]]:
    """All that is in a folder, with contents."""
    return [
        (str(path.relative_to(folder)), path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    ]


def problems(trial: Trial, folder: Path, code: int | None, memory: float) -> Iterator[str]:
    """What went wrong in a run."""
    if code is None:
        yield "never ended"
        return
    said = [
        (folder / name).read_bytes() for name in ("stdout", "stderr") if (folder / name).exists()
    ]
    if b"Traceback (most recent call last)" in b"".join(said):
        yield "traceback"
    if code == 70:
        yield "exit 70"
    elif code not in trial.codes:
        yield f"exit {code}"
    if memory > MEMORY:
        yield "memory"
    if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|(?m:^::(?:error::|stop)|^##\[)", b"".join(said)):
        yield "control characters or commands in the output"


def tried(tree: Path, work: Path) -> dict[str, Counter[str]]:
    """Kind → how many runs had what problem; all runs are counted under the empty name."""
    bins = work / "bin"
    bins.mkdir(parents=True)
    environment = os.environ | {
        "PYTHONPATH": str(tree),
        "PATH": f"{bins}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(work / "cache"),
    }
    make = [sys.executable, "-m", "percept_cli", "check", "b", "s", "--json=r.json", "-q"]
    made = work / "made"
    (made / "here").mkdir(parents=True)
    folders(made)
    subprocess.run(make, cwd=made / "here", env=environment, check=False)
    document = json.loads((made / "here/r.json").read_text())
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin and server.stdout
    found: dict[str, Counter[str]] = {}
    for number, trial in enumerate(trials(document)):
        folder = work / str(number)
        for name in ("here", "outside/photos"):
            (folder / name).mkdir(parents=True)
        (folder / "outside/rc").write_text("rc")
        (folder / "outside/photos/a.png").write_bytes(encoded("PNG", picture(7)))
        program = bins / "gs"
        program.write_text(f"#!/bin/sh\ntouch {folder}/outside/started\n")
        program.chmod(0o755)
        trial.prepare(folder)
        before = state(folder / "outside")
        print(json.dumps([str(folder), trial.arguments]), file=server.stdin, flush=True)
        code, memory = json.loads(server.stdout.readline())
        wrong = list(problems(trial, folder, code, memory))
        if state(folder / "outside") != before:
            wrong.append("something outside was changed, or a program started")
        counts = found.setdefault(trial.kind, Counter())
        counts[""] += 1
        counts.update(wrong)
        if wrong and tree == ROOT:
            print(f"{trial.kind}: {trial.arguments}: {wrong}: {folder}", file=sys.stderr)
        else:
            subprocess.run(["rm", "-rf", folder], check=True)  # Python's own knows no deep ones.
    server.stdin.close()
    server.wait()
    return found


def words(counts: Counter[str]) -> str:
    told = [f"{count} {name}" for name, count in counts.most_common() if name]
    return ", ".join(told) or "nothing"


def main(arguments: Iterable[str]) -> None:
    revision = next(iter(arguments), BEFORE)
    with tempfile.TemporaryDirectory() as name:
        old = Path(name) / "tree"
        old.mkdir()
        packed = subprocess.run(
            ["git", "archive", revision, "percept_cli"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=old, input=packed.stdout, check=True)
        trees = (old, ROOT), (Path(name) / "before", Path(name) / "now")
        with ProcessPoolExecutor() as pool:
            before, now = pool.map(tried, *trees)
    rows = [
        (kind, str(counts[""]), words(before[kind]), words(counts)) for kind, counts in now.items()
    ]
    whole = [words(sum(one.values(), Counter())) for one in (before, now)]
    rows.append(("all", str(sum(counts[""] for counts in now.values())), *whole))
    header = ("inputs", "tried", f"what went wrong at {revision}", "what goes wrong now")
    made = f"{BEGIN}\n{machine()}\n\n{table(header, rows)}\n{END}"
    print(made)
    text = PAGE.read_text()
    PAGE.write_text(re.sub(f"{re.escape(BEGIN)}.*?{END}", lambda _: made, text, flags=re.S))


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main(sys.argv[1:])
