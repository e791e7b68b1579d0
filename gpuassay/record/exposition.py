"""Pages of Prometheus metrics as programs really send them: read, or refused with one line that says what came instead.

Lines are read by prometheus_client's parser. Around it stands what that parser leaves open: whether the page is one at
all, whether it is whole, what a repeated series means, and which line is wrong. Sources: Prometheus' text format 0.0.4
and OpenMetrics 1.0.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from typing import NamedTuple

OPEN_METRICS = "application/openmetrics-text"
PROTOBUF = ("application/vnd.google.protobuf", "application/x-protobuf")
SHOWN = 80
"""Characters of a page, or of a line, that a message shows."""

_LINE = re.compile(
    r"(?P<name>[A-Za-z_:][\w:]*)?"
    r'(?:[ \t]*(?P<labels>\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\})[ \t]*|[ \t]+)'
    r"(?P<value>[^\s{}\"#]+)"
    r"(?:[ \t]+(?P<time>[^\s#]+))?(?P<exemplar>[ \t]+#[ \t].*)?$",
    re.ASCII,
)
_BARE = re.compile(r'[A-Za-z_:][\w:]*(?P<labels>[ \t]*\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*(?P<rest>.?))?', re.ASCII)
"""Name and labels, as far as they go."""
_TOLD_OF = re.compile(r'#[ \t]*(?:TYPE|HELP)[ \t]+"?([^\s"]+)"?(?:[ \t]+(\w+))?')
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


class PageError(ValueError):
    """What was sent is no whole page of Prometheus metrics; the message is one line without the page's address."""


class PageSample(NamedTuple):
    """One sample of a page.

    Attributes:
        name: of the metric; a counter's ends in `_total`, whichever way the program spells it.
        labels: without the name.
        value: NaN also where the page gives one series two values: then neither is known.
        time: seconds since the epoch that the page itself gives, or None, as is usual.
    """

    name: str
    labels: dict[str, str]
    value: float
    time: float | None = None


def parse_page(page: str | bytes, content_type: str = "", *, whole: bool = True) -> list[PageSample]:
    """All samples of a metrics page, one for each series, in the order of the page.

    Args:
        page: the body of the answer, decoded or not; gzip is undone.
        content_type: of the answer, "" if unknown.
        whole: whether the transport vouches that nothing is missing at the end (a length that was met, say). Without
            it a page whose last line has no end is refused: a number may be cut there.

    Raises:
        PageError: HTML, JSON, protobuf or other text; an empty or cut page; a line that is no sample.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in PROTOBUF:
        raise PageError("the metrics come as protobuf, although text was asked for: have the server send text")
    text = _text(page)
    _require_metrics(text)
    lines = text.split("\n")
    if not text.endswith("\n") and not whole:
        raise PageError(f"the page is cut: its last line has no end: {_shown(lines[-1])}")
    return _once(_samples(lines, _scale(kind, lines)))


def _text(page: str | bytes) -> str:
    if isinstance(page, str):
        return page.removeprefix("\ufeff")
    if page[:2] == b"\x1f\x8b":
        try:
            page = gzip.decompress(page)
        except (OSError, EOFError, zlib.error):
            raise PageError("the page is cut: its gzip data has no end") from None
    if page[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise PageError("the page is UTF-16: Prometheus metrics are UTF-8")
    return page.decode("utf-8-sig", errors="backslashreplace")


def _require_metrics(text: str) -> None:
    """Refuse what is evidently something else."""
    begin = text.lstrip()
    if not begin:
        raise PageError("the page is empty")
    if "\0" in begin[:1000]:
        raise PageError("binary data, no page of Prometheus metrics: have the server send text")
    if begin.startswith("<"):
        title = _TITLE.search(begin[:10_000])
        told = f" ({_shown(title[1])})" if title and title[1].strip() else ""
        raise PageError(
            f"an HTML page{told}, no Prometheus metrics: a login page or another service answers at this address"
        )
    if begin[0] in "[{" and _is_json(begin):
        raise PageError(f"JSON, no Prometheus metrics: {_shown(begin)}; name the address of the Prometheus page")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text[0] == "["  # cut JSON; a line of metrics may begin with {
    return True


def _scale(kind: str, lines: list[str]) -> float:
    """How many of a timestamp's units make a second: OpenMetrics has seconds, the older text format milliseconds."""
    ended = any(line.strip() == "# EOF" for line in lines[-5:])
    if kind == OPEN_METRICS and not ended:
        raise PageError(f"the page is cut: OpenMetrics ends with '# EOF', this with {_shown(_last(lines))}")
    return 1.0 if ended else 1000.0


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "")


def _samples(lines: list[str], scale: float) -> list[PageSample]:
    from prometheus_client.parser import text_string_to_metric_families  # it loads a web server: for scrapes only

    types: dict[str, str] = {}
    bare: list[str] = []
    times: list[float | None] = []
    values: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            if told := _TOLD_OF.match(text):
                types[told[1]] = told[2] or ""
        elif text:
            match = _LINE.match(text)
            if match is None or not _is_number(match["value"]):
                raise _wrong(number, text, known=any(map(_is_metrics, lines)))
            times.append(_time(match["time"], scale, number, text))
            values.append(match["value"])
            bare.append(f"{match['name'] or ''}{match['labels'] or ''} {match['value']}")
    try:
        found = [one for family in text_string_to_metric_families("\n".join(bare) + "\n") for one in family.samples]
    except ValueError:
        raise _first_refused(lines) from None
    if _is_cut(lines[-1].strip(), values):
        raise PageError(f"the page is cut: its last line has no end, and is no whole one: {_shown(lines[-1])}")
    names = {one.name for one in found}
    return [
        PageSample(_counted(one.name, types, names), dict(one.labels), float(one.value), time)
        for one, time in zip(found, times, strict=True)
    ]


def _counted(name: str, types: dict[str, str], names: set[str]) -> str:
    """OpenMetrics' spelling of a counter, unless the page has both spellings."""
    total = f"{name}_total"
    return total if types.get(name) == "counter" and not name.endswith("_total") and total not in names else name


def _is_metrics(line: str) -> bool:
    return bool(_LINE.match(line.strip()) or _TOLD_OF.match(line.strip()))


def _is_cut(line: str, values: list[str]) -> bool:
    """Whether a last line without end is a comment, or its number lacks what all others have.

    Python's clients write 12.0 where Go's write 12.
    """
    if not line or line.startswith("#"):
        return bool(line) and line != "# EOF"
    *others, last = values
    return last.endswith(".") or (
        len(others) > 2 and all("." in one for one in others) and not re.search(r"[.enf]", last, re.IGNORECASE)
    )


def _first_refused(lines: list[str]) -> PageError:
    """The first line that the parser refuses."""
    from prometheus_client.parser import text_string_to_metric_families

    for number, line in enumerate(lines, 1):
        try:
            list(text_string_to_metric_families("" if line.lstrip().startswith("#") else line))
        except ValueError:
            return _wrong(number, line.strip(), known=True)
    return PageError("the page cannot be read")


def _wrong(number: int, text: str, *, known: bool) -> PageError:
    """What a line that is no sample is instead; `known`: what stands before it says that the page has metrics."""
    began = _BARE.match(text)
    labelled = began is not None and began["labels"] is not None
    if began and labelled and began["rest"] in ('"', ""):
        why = "the labels have no end (a cut page, or a raw line break in a label)"
    elif began and began.end() == len(text) and (known or labelled):
        why = "the sample has no value (a cut page, or a value that the server does not have)"
    elif not known and not labelled:
        return PageError(f"no Prometheus metrics: line {number} is {_shown(text)}; another service answers here")
    else:
        why = "this is no sample of a metric"
    return PageError(f"line {number}: {why}: {_shown(text)}")


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value


def _time(time: str | None, scale: float, number: int, text: str) -> float | None:
    if time is None:
        return None
    if not _is_number(time) or not math.isfinite(float(time)):
        raise PageError(f"line {number}: what follows the value is no timestamp: {_shown(text)}")
    return float(time) / scale


def _once(samples: list[PageSample]) -> list[PageSample]:
    """One sample for each series: the newest by the page's own times; NaN if it has two values at one time."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], PageSample] = {}
    for one in samples:
        series = one.name, tuple(sorted(one.labels.items()))
        other = found.setdefault(series, one)
        if other is one or one.value == other.value:
            continue
        times = one.time or 0.0, other.time or 0.0
        found[series] = (
            one._replace(value=math.nan) if times[0] == times[1] else (one if times[0] > times[1] else other)
        )
    return list(found.values())


def _shown(text: str) -> str:
    """A line for a message: no line breaks, and no longer than it helps."""
    said = " ".join(text.split())
    return repr(said if len(said) <= SHOWN else f"{said[:SHOWN]}...")
