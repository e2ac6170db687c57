"""A page whose pictures are the same each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SITE = Path(__file__).parent / "site"


@contextmanager
def steady_page() -> Iterator[Page]:
    """A page of fixed size, without animations; $CHROMIUM may name another browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"))
        page = browser.new_page(
            viewport={"width": 960, "height": 540}, reduced_motion="reduce", locale="en-GB"
        )
        yield page
        browser.close()
