#!/bin/sh
# Accept the pages, pass, change a page, and see the test and the check of the folder fail.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
cp -r . "$work" && cd "$work"
pytest -q --percept-update && pytest -q
python screenshots.py && percept approve baselines screenshots
sed -i.bak 's/18\.4/31.9/' site/index.html
if pytest -q; then echo "the test should have failed" >&2; exit 1; fi
python screenshots.py
if percept check baselines screenshots --report report; then exit 1; fi
echo "A changed number failed both. The report: $work/report/index.html"
