"""Accounts of requests at rest: what came in went out, by every counter and histogram that a program has.

Which counts belong together is found in the page itself: a histogram of a family counts what the family's counter of
requests counts, or of answers, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gpuassay.systems.llmd.rows import RestArm, RestSeries

_ASKED = re.compile(r"(?P<family>.*)_request_total$")
_OF_ASKED = re.compile(r"_request_(sizes?|size_bytes)_count$")
_OF_ANSWERS = re.compile(r"_(response_(sizes?|size_bytes)|request_duration_seconds)_count$")
_OF_USAGE = re.compile(r"_(input|output)_tokens_count$")
_SUCCEEDED = re.compile(r"request_success_total$")
_MADE = re.compile(r"(?<!num_)generation_tokens_total$")
_PER_TOKEN = re.compile(r"inter_token|per_output_token|iteration_tokens")
_OF_SETTINGS = re.compile(r"_params_")
_CLASS = "envoy_response_code_class"

BY_SOURCE = Mapping[str, Sequence[RestSeries]]


def grown(arm: RestArm, series: RestSeries) -> float:
    """How much a counter grew in an arm; one whose program was started again began at 0."""
    start = 0.0 if series.source in arm.restarted else series.start or 0.0
    return (series.rest or 0.0) - start


def findings(arm: RestArm, by_source: BY_SOURCE, *, undisturbed: bool) -> list[str]:
    """Accounts that do not close, as sentences."""
    found: list[str] = []
    for source, series in by_source.items():
        if source not in arm.alive:
            continue
        counted = _summed(arm, series)
        fell = [f"{source}: {name} fell by {-grew:g}" for name, grew in counted.items() if grew < 0]
        if source == "picker":
            found += fell + _picker(arm, counted, undisturbed=undisturbed)
        elif source == "gateway":
            found += fell + _gateway(arm, series, undisturbed=undisturbed)
        else:
            found += fell + _server(arm, source, counted, undisturbed=undisturbed)
    return found


def _summed(arm: RestArm, series: Sequence[RestSeries]) -> dict[str, float]:
    """Growth of each counter, and of each histogram's count, over all its labels."""
    found: dict[str, float] = {}
    for one in series:
        if one.name.endswith(("_total", "_count")):
            found[one.name] = found.get(one.name, 0.0) + grown(arm, one)
    return found


def _only_whole(arm: RestArm) -> bool:
    """Whether every client got its answer, and it was a good one; also where nobody asked by the gateway."""
    return not any(count for kind, count in arm.through.items() if not kind.endswith("2xx"))


def _left(arm: RestArm) -> int:
    """Requests whose client got nothing: those without a body count as answers of no model, and never as requests.

    So it is with a picker that was suspended meanwhile and a gateway that hears late of a client that has left.
    """
    return arm.through.get("none", 0)


def _picker(arm: RestArm, counted: Mapping[str, float], *, undisturbed: bool) -> list[str]:
    asked = {match["family"]: name for name in counted if (match := _ASKED.match(name))}
    found: list[str] = []
    for family, name in asked.items():
        requests = counted[name]
        mine = {other: grew for other, grew in counted.items() if other.startswith(f"{family}_")}
        for other, grew in mine.items():
            if _OF_ASKED.search(other) and grew != requests:
                found.append(f"picker: {grew:g} of {other}, but {requests:g} of {name}")
            elif other.endswith("_count") and grew > requests + _left(arm):
                found.append(f"picker: {grew:g} of {other}, more than {requests:g} of {name}")
        for pattern in (_OF_ANSWERS, _OF_USAGE):
            same = {other: grew for other, grew in mine.items() if pattern.search(other)}
            if len(set(same.values())) > 1:
                found.append(f"picker: {_listed(same)} differ, and count the same answers")
        if not (undisturbed and arm.own_gateway and _only_whole(arm)):
            continue
        posted = arm.through.get("POST 2xx", 0)
        answers = {other: grew for other, grew in mine.items() if _OF_ANSWERS.search(other)}
        wanted = {name: posted + arm.picked, **dict.fromkeys(answers, posted)}
        found += [
            f"picker: {mine[other]:g} of {other}, but {count} were asked and answered"
            for other, count in wanted.items() if mine[other] != count
        ]  # fmt: skip
        refused = {other: grew for other, grew in mine.items() if other.endswith("_request_error_total") and grew}
        if refused:
            found.append(f"picker: {_listed(refused)}, although every request was answered")
    return found


def _gateway(arm: RestArm, series: Sequence[RestSeries], *, undisturbed: bool) -> list[str]:
    sums = _summed(arm, [one for one in series if "listener" not in one.name])
    found: list[str] = []
    came, ended, left = (
        sums.get(f"envoy_http_downstream_rq_{what}total", 0.0) for what in ("", "completed_", "rx_reset_")
    )
    if not ended <= came <= ended + left:
        found.append(f"gateway: {came:g} requests came in, {ended:g} were completed, of {left:g} the client left")
    opened = sums.get("envoy_http_ext_proc_streams_started_total")
    closed = sums.get("envoy_http_ext_proc_streams_closed_total", 0.0)
    if opened is not None and opened != closed and undisturbed:
        found.append(f"gateway: {opened:g} streams to the picker were opened, {closed:g} were closed")
    if not undisturbed or not arm.own_gateway or arm.through.get("none"):
        return found
    classes: dict[str, float] = {}
    for one in series:
        if one.name == "envoy_http_downstream_rq_xx_total":
            kind = f"{one.labels[_CLASS]}xx"
            classes[kind] = classes.get(kind, 0.0) + grown(arm, one)
    seen: dict[str, float] = {}
    for kind, count in arm.through.items():
        seen[kind[-3:]] = seen.get(kind[-3:], 0.0) + count
    found += [
        f"gateway: it counts {classes.get(kind, 0.0):g} answers {kind}, clients got {seen.get(kind, 0.0):g}"
        for kind in sorted({*classes, *seen})
        if classes.get(kind, 0.0) != seen.get(kind, 0.0)
    ]
    return found


def _server(arm: RestArm, source: str, counted: Mapping[str, float], *, undisturbed: bool) -> list[str]:
    """Each histogram of a model server counts its requests, or the tokens of answers but for each first one."""
    if not undisturbed or arm.through.get("none"):
        return []
    succeeded = sum(grew for name, grew in counted.items() if _SUCCEEDED.search(name))
    made = sum(grew for name, grew in counted.items() if _MADE.search(name))
    found: list[str] = []
    for name, grew in counted.items():
        if not name.endswith("_count"):
            continue
        if _PER_TOKEN.search(name):
            wrong = not made - succeeded <= grew <= made  # one answer may have several beginnings
        elif _OF_SETTINGS.search(name):
            wrong = grew > succeeded  # of requests that have the setting
        else:
            wrong = grew != succeeded
        if wrong:
            found.append(f"{source}: {grew:g} of {name}, but {succeeded:g} requests with {made:g} tokens")
    return found


def _listed(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{grew:g} of {name}" for name, grew in counts.items())
