"""The command line: arguments to options, errors to exit codes. Importing it imports no torch."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command and end the process with its exit code."""
    try:
        from percept_cli.cli.app import run

        code = run()
    except KeyboardInterrupt:  # Before the command, or when it is done.
        from percept_cli.cli.interrupts import interrupted_code

        code = interrupted_code()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # There is nothing left to interrupt.
    sys.exit(code)
