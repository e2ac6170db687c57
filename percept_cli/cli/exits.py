"""Exit codes; README.md explains them."""

from __future__ import annotations

CHANGED = 1
USAGE_ERROR = 2
INCOMPLETE = 3
DEFECT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
TERMINATED = 143
