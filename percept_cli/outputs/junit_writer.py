"""A check's results as JUnit XML, which CI services show: a test case per image."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TextIO
from xml.etree import ElementTree

from percept_cli.outputs.words import figure, jnd_words, notes_of, parts_of, settings_line
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


class JUnitWriter:
    """Writes the document at the end."""

    def __init__(self, stream: TextIO, settings: Callable[[], Settings]) -> None:
        self._stream = stream
        self._settings = settings
        self._suite = ElementTree.Element("testsuite", name="percept")

    def write(self, result: Result) -> None:
        """Add the image's test case."""
        case = ElementTree.SubElement(
            self._suite, "testcase", classname="percept", name=_clean(result.name), time="0"
        )
        if result.status == "error":
            error = ElementTree.SubElement(case, "error", message=_clean(result.error or ""))
            error.text = _clean(_details(result))
        elif result.failures:
            message = _clean("; ".join(result.failures))
            failure = ElementTree.SubElement(case, "failure", message=message, type=result.status)
            failure.text = _clean(_details(result))

    def close(self, summary: Summary) -> None:
        """Write the document."""
        if summary.verdict == "incomplete" and not summary.counts["error"]:
            case = ElementTree.SubElement(
                self._suite, "testcase", classname="percept", name="percept check", time="0"
            )
            ElementTree.SubElement(case, "error", message="incomplete: not all was compared")
        failures = sum(1 for _ in self._suite.iter("failure"))
        tests, errors = (sum(1 for _ in self._suite.iter(tag)) for tag in ("testcase", "error"))
        counts = {"tests": tests, "failures": failures, "errors": errors}
        self._suite.attrib |= {name: str(count) for name, count in counts.items()}
        properties = ElementTree.Element("properties")
        ElementTree.SubElement(
            properties, "property", name="settings", value=_clean(settings_line(self._settings()))
        )
        for file in summary.left_out:
            ElementTree.SubElement(properties, "property", name="left out", value=_clean(file))
        self._suite.insert(0, properties)
        suites = ElementTree.Element("testsuites", self._suite.attrib)
        suites.append(self._suite)
        ElementTree.indent(suites)
        self._stream.write('<?xml version="1.0" encoding="utf-8"?>\n')
        self._stream.write(ElementTree.tostring(suites, encoding="unicode") + "\n")
        self._stream.flush()


def _details(result: Result) -> str:
    lines = [f"baseline: {result.reference}", f"candidate: {result.candidate}"]
    if result.total is not None:
        lines += [f"total: {figure(result.total)}", f"peak: {figure(result.peak)}"]
        if result.peak_parts:
            lines += [f"peak of: {parts_of(result)}"]
        lines += [f"floor: {figure(result.floor)}"]
        if result.jnd:
            lines += [f"jnd: {jnd_words(result.jnd)}"]
        numbers = [*result.layers.items(), *result.also.items()]
        lines += [f"{name}: {figure(value)}" for name, value in numbers]
    if thresholds := result.thresholds:
        limits = {**vars(thresholds), **thresholds.layers}
        del limits["layers"]
        lines += [
            f"{what} threshold: {most:g}" for what, most in limits.items() if most is not None
        ]
    lines += [f"at {r.x},{r.y} {r.width}x{r.height}: peak {figure(r.peak)}" for r in result.regions]
    lines += [f"note: {note}" for note in notes_of(result)]
    if result.heatmap_file:
        lines.append(f"heat map: {result.heatmap_file}")
    return "\n".join(lines)


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
