"""A picture of every story of a built Storybook, for `percept check`.

python examples/storybook.py storybook-static screenshots
"""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    built, folder = Path(sys.argv[1]), Path(sys.argv[2])
    entries = json.loads((built / "index.json").read_text())["entries"].values()
    stories = [entry["id"] for entry in entries if entry["type"] == "story"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=built))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"))
        page = browser.new_page(
            viewport={"width": 800, "height": 600}, reduced_motion="reduce", locale="en-GB"
        )
        for story in stories:
            address = f"http://127.0.0.1:{server.server_port}/iframe.html"
            page.goto(f"{address}?id={story}&viewMode=story", wait_until="networkidle")
            page.evaluate("document.fonts.ready")
            page.screenshot(path=folder / f"{story}.png", animations="disabled")
        browser.close()
    print(f"{len(stories)} stories in {folder}/")


if __name__ == "__main__":
    main()
