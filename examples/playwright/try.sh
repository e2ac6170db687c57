#!/bin/sh
# Accept the pages, pass, change a page, and see the test and the check of the folder fail.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
cp -r . "$work" && cd "$work"
pytest -q --percept-update && pytest -q
python screenshots.py && percept approve baselines screenshots
sed -i.bak 's/18\.4/31.9/' site/index.html
code=0; pytest -q || code=$?
[ "$code" = 1 ] || { echo "the test should have failed" >&2; exit 1; }
python screenshots.py
code=0; percept check baselines screenshots --report report || code=$?
[ "$code" = 1 ] || { echo "the check should have failed" >&2; exit 1; }
echo "A changed number failed both. The report: $work/report/index.html"
