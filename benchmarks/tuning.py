"""What percept's choices for the CPU are worth: strips, threads, batches, on the same images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from frames import compared, noisy, photograph
from measuring import machine, table

from percept_cli.network import convolution
from percept_cli.scoring import meter
from percept_cli.scoring.devices import Capacity
from percept_cli.scoring.meter import Meter
from percept_cli.scoring.options import Options

TOGETHER = Capacity(width=1920, height=8192, together=1 << 22, strips=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    large, small = photograph(1920, 1080), photograph(256, 256)
    frame, little = (large, noisy(large)), [(small, noisy(small))] * 8
    alone, together = Meter(Options()), Meter(Options())
    together._capacity = TOGETHER
    channels_last = Meter(Options())
    channels_last._network = copy.deepcopy(alone._network)
    channels_last._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def with_rows(rows: int | None) -> Callable[[], object]:
        def run() -> None:
            with patch.object(meter, "strip_rows", lambda _: rows):
                alone.measure([frame])

        return run

    def on_one_thread() -> None:
        with one_thread():
            alone.measure([frame])

    def without_winograd() -> None:
        with patch.object(convolution, "_pays", lambda *_: False):
            alone.measure([frame])

    chosen = meter.strip_rows(1920)
    rows = compared(
        "1920×1080",
        {
            f"percept, strips of {chosen} rows": lambda: alone.measure([frame]),
            "strips of 16 rows": with_rows(16),
            "strips of 144 rows": with_rows(144),
            "no strips": with_rows(None),
            "one thread": on_one_thread,
            "direct convolutions": without_winograd,
            "direct convolutions, channels-last": lambda: channels_last.measure([frame]),
        },
        rounds=3,
    )
    rows += compared(
        "8 of 256×256",
        {
            "percept, one by one": lambda: alone.measure(little),
            "8 together": lambda: together.measure(little),
        },
        rounds=5,
    )
    print(f"Pairs already decoded, changed everywhere, {machine()}\n")
    print(table(("pair", "how", "seconds", "times percept's"), rows))


if __name__ == "__main__":
    main()
