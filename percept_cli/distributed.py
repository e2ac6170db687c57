"""Many pairs on Ray: Ray Data schedules, retries and holds back; its workers score and write.

What is written is a folder of files of a local run's records, and `_summary.json`, which has what
ends a local run's JSON. A folder without it is of a run that did not come to its end.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from PIL import Image
from pyarrow import csv

from percept_cli.errors import OutputError, PerceptError, shown, unwritable
from percept_cli.inputs.pairs import Pair, pair_of_row
from percept_cli.inputs.stored import Member, Place, Remote, Upload
from percept_cli.network.workers import available
from percept_cli.outputs.csv_writer import columns_of
from percept_cli.outputs.parquet_writer import cells_of, schema_of
from percept_cli.results import VERSION, Settings
from percept_cli.scoring.cache import cache_for
from percept_cli.scoring.memory import Memory
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.summary import Summary, group_of
from percept_cli.writing import write_whole

try:
    import ray
    from ray.data.datasource import BlockBasedFileDatasink
except ImportError as error:
    raise PerceptError("--engine ray needs Ray: run 'pip install \"percept-cli[ray]\"'") from error

FORMS = ("csv", "jsonl", "parquet")

CHUNK = 512
"""Pairs that are handed to Ray together."""

BATCH = 32
"""Pairs that a worker takes at once, and takes again if it dies."""

SUMMARY = "_summary.json"

COUNTED = ["status", "total", "peak", "jnd", "reference", "candidate"]
"""What is summed up of each record."""


@dataclass(frozen=True)
class Plan:
    """What a worker needs besides pairs."""

    options: Options
    cache: str | bool
    cache_size: int
    schema: pyarrow.Schema
    folder: str
    """What the paths of a Parquet manifest are relative to."""
    here: str
    """What other paths are relative to."""
    as_lines: bool
    """Whether records are JSON Lines, else the columns of CSV."""
    described: Mapping[str, Any]
    """Settings that only who started the run knows."""


class Worker:
    """Scores batches of pairs with a network of its own."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        Image.MAX_IMAGE_PIXELS = None  # As in the command: percept's own bound is --max-pixels.
        with suppress(OSError):  # Where all is elsewhere, it need not be there.
            os.chdir(plan.here)
        warn = logging.getLogger("percept").warning
        memory = Memory(cache_for(plan.cache, warn, plan.cache_size))
        # Of a machine's GPUs a worker sees its own; without one it is not to take what there is.
        device = "cuda" if plan.options.device.startswith("cuda") else "cpu"
        self._scorer = Scorer(replace(plan.options, device=device), workers=1, memory=memory)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """A table with a row for each pair."""
        plan = self._plan
        scored = self._scorer.score(map(self._pair, batch.to_pylist()))
        results = [one.result for _, one in scored]
        settings = replace(self._scorer.settings(), **plan.described)
        if plan.as_lines:
            lines = [json.dumps(result.document()) for result in results]
            return pyarrow.table({"line": pyarrow.array(lines, pyarrow.string())})
        rows = [cells_of(result, settings, plan.schema) for result in results]
        return pyarrow.Table.from_pylist(rows, plan.schema)

    def _pair(self, row: Mapping[str, Any]) -> Pair:
        if "percept_pair" in row:
            return unpacked(row["percept_pair"])
        return pair_of_row(row, Path(self._plan.folder), shown(self._plan.folder))


class Lines(BlockBasedFileDatasink):  # type: ignore[misc]
    """Writes a column of lines as they are."""

    def write_block_to_file(self, block: Any, file: Any) -> None:
        """Write the lines of a block."""
        lines = block.to_arrow().column("line").to_pylist()
        file.write("".join(f"{line}\n" for line in lines).encode())


def packed(pair: Pair) -> str:
    """The pair as text."""
    paths = [_words(path) for path in (pair.reference, pair.candidate)]
    return json.dumps([*paths, pair.name, pair.error, pair.notes, dict(pair.extra)])


def unpacked(text: str) -> Pair:
    """The pair that was packed."""
    reference, candidate, name, error, notes, extra = json.loads(text)
    first, second = (None if path is None else _place(path) for path in (reference, candidate))
    return Pair(first, second, name, error, tuple(notes), extra)


def _words(place: Place | None) -> Any:
    """What a place is made from."""
    if isinstance(place, Member):
        return [_words(place.archive), place.name, place.start, place.size]
    if isinstance(place, Remote):
        return asdict(place)
    return None if place is None else str(place)


def _place(words: Any) -> Place:
    if isinstance(words, list):
        archive, name, start, size = words
        return Member(_whole(archive), name, start, size)
    return _whole(words)


def _whole(words: Any) -> Path | Remote:
    return Remote(**words) if isinstance(words, dict) else Path(words)


def score_on_ray(
    pairs: Iterable[Pair] | Path,
    options: Options,
    described: Mapping[str, Any],
    output: Path | Remote,
    form: str,
    *,
    by: str | None = None,
    workers: int | None,
    cache: str | bool,
    cache_size: int,
    address: str | None,
    quiet: bool,
    left_out: tuple[str, ...] = (),
) -> Summary:
    """Score pairs, or those of a Parquet manifest, into a folder of files; what it came to.

    `described` are settings that the scorer does not know, such as what the user named, `left_out`
    files that are no images.

    Raises PerceptError for a form that Ray's workers do not write, for a folder that holds
    something, where no pair is named, and where the first has no column `by` of its own;
    OutputError for a folder that cannot be written.
    """
    if form not in FORMS:
        raise PerceptError(f"--engine ray writes {', '.join(FORMS)}: choose one with --format")
    if _is_taken(output):
        raise PerceptError(
            f"{shown(output)} is there, and workers write into a new folder: name another"
        )
    on_gpu = options.device.startswith("cuda")
    if options.precision == "tf32" and not on_gpu:
        raise PerceptError("--precision tf32: give --device cuda, so that workers have GPUs")
    _start(workers, address, quiet=quiet)
    try:
        dataset, extra, folder = _dataset(pairs)
    except (pyarrow.ArrowException, ray.exceptions.RayError) as error:
        raise PerceptError(f"{shown(pairs)}: cannot be read by Ray: check it") from error
    scorer = Scorer(options)
    if by is not None and by not in columns_of(scorer.settings(), extra)[1]:
        raise PerceptError(f"--by {by}: the first pair has no such column of its own: name another")
    schema = schema_of(scorer.settings(), extra)
    plan = Plan(
        options, cache, cache_size, schema, str(folder), os.getcwd(), form == "jsonl", described
    )
    scored = dataset.map_batches(
        Worker,
        fn_constructor_args=(plan,),
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers or _workers(on_gpu=on_gpu)),
        num_cpus=1,
        num_gpus=1 if on_gpu else 0,
    )
    where = _where(output)
    try:
        if form == "csv":
            scored.write_csv(**where)
        elif form == "parquet":
            scored.write_parquet(**where)
        else:
            scored.write_datasink(Lines(**where, file_format="jsonl"))
        summary = _summed(where, form, by)
        summary.left_out = left_out
    except ray.exceptions.RayError as error:
        told = re.findall(r"^[\w.]+(?:Error|Exception)\b.*", str(error), re.MULTILINE)
        reason = told[-1] if told else type(error).__name__
        raise OutputError(f"Ray gave up ({reason}): {shown(output)} is not complete") from error
    made = _by_network(options, on_gpu=on_gpu) if summary.max_total else scorer.settings()
    made = replace(made, **described)
    end = {"version": VERSION, "settings": made.document(), "summary": summary.document()}
    try:
        if isinstance(output, Remote):
            upload = Upload(output / SUMMARY)
            upload.file.write(json.dumps(end).encode())
            upload.place()
            upload.drop()
        else:
            write_whole(json.dumps(end).encode(), output / SUMMARY)
    except OSError as error:
        raise OutputError(f"cannot write {shown(output / SUMMARY)}: {unwritable(error)}") from error
    return summary


def _start(workers: int | None, address: str | None, *, quiet: bool) -> None:
    if not ray.is_initialized():
        try:
            ray.init(
                address,
                # One core more reads and writes.
                num_cpus=None if address else (workers or available()) + 1,
                include_dashboard=None if address else False,
                log_to_driver=not quiet,
                logging_level="warning",
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            where = f"--ray-address {address}" if address else "Ray on this machine"
            raise PerceptError(f"{where}: no cluster ({reason})") from error
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = sys.stderr.isatty() and not quiet
    if not context.enable_progress_bars:
        logging.getLogger("ray.data").setLevel(logging.WARNING)


def _workers(*, on_gpu: bool) -> int:
    """As many as the cluster has room for; one core is left to read and write."""
    found = ray.cluster_resources()
    return max(int(found.get("GPU", 1) if on_gpu else found.get("CPU", 2) - 1), 1)


def _dataset(pairs: Iterable[Pair] | Path) -> tuple[Any, Mapping[str, Any], Path]:
    """Pairs as a dataset, what the first has besides its images, and what paths are relative to."""
    if isinstance(pairs, Path):
        dataset = ray.data.read_parquet(str(pairs))
        first = dataset.take(1)
        if not first:
            raise PerceptError("nothing to compare: no pair was named")
        pair = pair_of_row(first[0], Path(), "")
        return dataset, pair.extra, pairs.parent
    chunks, extra = [], None
    for chunk in _chunks(pairs):
        extra = chunk[0].extra if extra is None else extra
        chunks.append(ray.put(pyarrow.table({"percept_pair": list(map(packed, chunk))})))
    if extra is None:
        raise PerceptError("nothing to compare: no pair was named")
    return ray.data.from_arrow_refs(chunks), extra, Path()


def _chunks(pairs: Iterable[Pair]) -> Iterator[Sequence[Pair]]:
    rest = iter(pairs)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _is_taken(output: Path | Remote) -> bool:
    if isinstance(output, Remote):
        return output.is_folder()
    return output.exists() and (not output.is_dir() or any(output.iterdir()))


def _where(output: Path | Remote) -> dict[str, Any]:
    """The path as Ray takes it, and the file system that it is of."""
    if isinstance(output, Remote):
        fs, path = output.located()
        return {"path": path, "filesystem": fs}
    return {"path": str(output.resolve())}


def _by_network(options: Options, *, on_gpu: bool) -> Settings:
    """The settings with what is known once the network is there; workers load the same."""
    scorer = Scorer(replace(options, device="cpu", precision="fp32"))
    scorer.load_network()
    device = "cuda" if on_gpu else "cpu"
    return replace(scorer.settings(), device=device, precision=options.precision)


def _summed(where: Mapping[str, Any], form: str, by: str | None) -> Summary:
    """What was written, summed up in its order; only a few columns come here."""
    read = {"csv": ray.data.read_csv, "parquet": ray.data.read_parquet, "jsonl": ray.data.read_text}
    path = {"paths": where["path"], "filesystem": where.get("filesystem")}
    columns = [*COUNTED, by, "extra"] if by else COUNTED
    if form == "csv":
        types = dict.fromkeys(columns, pyarrow.string())
        path["convert_options"] = csv.ConvertOptions(
            include_columns=columns, include_missing_columns=True, column_types=types
        )
        path["parse_options"] = csv.ParseOptions(newlines_in_values=True)
    counted = read[form](**path).map_batches(
        _counted, fn_args=(columns,), batch_format="pyarrow", batch_size=None
    )
    summary = Summary(by)
    for row in counted.iter_rows():
        summary.count(
            row["status"], row["total"], row["peak"], row["jnd"], row["name"], row["group"]
        )
    summary.complete = True
    return summary


def _group(row: Mapping[str, Any], by: str) -> str | None:
    """The group that a record is of; what its column cannot hold stands in `extra`."""
    rest = row.get("extra")
    if row.get(by) in (None, "") and isinstance(rest, str) and rest:
        row = {**row, **json.loads(rest)}
    return group_of(row[by]) if by in row else None


def _counted(block: pyarrow.Table, columns: Sequence[str]) -> pyarrow.Table:
    """Of records what is summed up, with types."""
    rows = block.to_pylist()
    if "text" in block.column_names:
        rows = [json.loads(row["text"]) for row in rows]
        rows = [row["extra"] | row for row in rows]

    def number(found: Any) -> float | None:
        if isinstance(found, Mapping):  # A jnd as JSON has it.
            found = found["value"]
        return None if found in (None, "") else float(found)

    by = columns[len(COUNTED)] if len(columns) > len(COUNTED) else None
    groups = [_group(row, by) if by else None for row in rows]
    return pyarrow.table(
        {
            "status": [row["status"] for row in rows],
            "total": pyarrow.array([number(row["total"]) for row in rows], pyarrow.float64()),
            "peak": pyarrow.array([number(row["peak"]) for row in rows], pyarrow.float64()),
            "jnd": pyarrow.array([number(row["jnd"]) for row in rows], pyarrow.float64()),
            "name": [row["candidate"] or row["reference"] or "?" for row in rows],
            "group": pyarrow.array(groups, pyarrow.string()),
        }
    )
