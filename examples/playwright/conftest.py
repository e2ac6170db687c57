from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import steady_page
from playwright.sync_api import Page


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    with steady_page() as page:
        yield page
