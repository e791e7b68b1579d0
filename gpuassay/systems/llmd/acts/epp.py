"""Asking an endpoint picker (EPP) over its own protocol, without a gateway: every answer is a row of the recording.

with opened(lab, Arm(gateway=None, replicas=3)) as site, asking(site) as epp:
    epp.ask("plain", epp.body("hello"))
    epp.exchange("json", epp.body("hello"), [b'{"usage": ...}'])
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpuassay.cluster.errors import ClusterError, NotFromOutside
from gpuassay.cluster.program import http
from gpuassay.manifest import Manifest
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment
from gpuassay.systems.llmd.acts.epp_connection import PATIENCE, Connection
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.recording_server import canonical, digest
from gpuassay.systems.llmd.component.extproc import Answer, chunks
from gpuassay.systems.llmd.component.picker import HEALTH_SERVICE, Picker
from gpuassay.systems.llmd.judge.metrics import PICKER, name_in
from gpuassay.systems.llmd.mutants.epp import BROKEN, Broken
from gpuassay.systems.llmd.readings import PICKER_CALLS
from gpuassay.systems.llmd.rows import PickerCall, Returned
from gpuassay.waiting import WaitTimeout, wait

FOLLOWED = 3.0
"""Seconds for a change to show: thrice what is asked of a picker, so that a late one is told from a blind one."""


def served(endpoint: str, body: bytes) -> bytes:
    """What a model server (`HOST:PORT`) answers to a completion that is asked of it directly."""
    return http().post(f"http://{endpoint}/v1/completions", data=body, timeout=PATIENCE).content


def meaning(body: bytes) -> str:
    """Stands for what a JSON body means, whatever its spelling, or for the bytes of another one."""
    return canonical(body) or digest(body)


@dataclass
class Asking:
    """A connection to a picker, with a pen.

    Attributes:
        site: the arm.
        connection: streams to its picker.
        picker: the picker.
    """

    site: Deployment
    connection: Connection
    picker: Picker
    _index: int = field(default=0)

    def body(self, prompt: str, **more: Any) -> bytes:
        """A completion request."""
        return json.dumps({"model": self.site.routing.model, "prompt": prompt, "max_tokens": 4, **more}).encode()

    def row(self, wave: str, answer: Answer, sent: bytes | None, began: int, label: str) -> PickerCall:
        """Keep what the picker answered to a request as a row of the recording; `began` in ns (monotonic)."""
        found = PickerCall(
            wave=wave,
            index=self._index,
            label=label,
            start_ns=began,
            end_ns=time.monotonic_ns(),
            status=answer.immediate,
            destination=answer.destination,
            metadata_destination=answer.metadata_destination,
            clear_route_cache=answer.clear_route_cache,
            ended=answer.ended,
            detail=(answer.detail or answer.immediate_body.decode(errors="replace"))[:300],
            sent=None if sent is None else meaning(sent),
            returned=meaning(answer.body) if answer.body_chunks else None,
            largest_chunk=max(map(len, answer.body_chunks), default=0),
        )
        self._index += 1
        self.site.lab.rows(PICKER_CALLS).append(found)
        return found

    def ask(
        self, wave: str, body: bytes | None, *, label: str = "", count: int = 1, path: str = "/v1/completions",
        headers: Mapping[str, str] | None = None, subset: Sequence[str] | None = None, trailers: bool = False,
        timeout: float = PATIENCE,
    ) -> PickerCall:  # fmt: skip
        """One request, in `count` chunks; without body where it is None. Its row tells the hint and the `label`."""
        began = time.monotonic_ns()
        parts = None if body is None else chunks(body, count)
        with self.connection.stream(timeout) as stream:
            answer = stream.request(parts, path=path, headers=headers, subset=subset, trailers=trailers)
        row = self.row(wave, answer, body, began, label)
        row.count, row.hint = count, None if subset is None else list(subset)
        return row

    def exchange(
        self, wave: str, body: bytes, response: Sequence[bytes] | Callable[[str], bytes], *, label: str = "",
        status: int = 200, content_type: str = "application/json",
    ) -> PickerCall:  # fmt: skip
        """One request and, where something was picked, a response to it; the row holds what came back of its chunks.

        Args:
            wave: name under which judges find the row.
            body: of the request.
            response: its chunks, or who serves the endpoint that was picked.
            label: of the row.
            status: HTTP status of the response.
            content_type: of the response.
        """
        began = time.monotonic_ns()
        with self.connection.stream() as stream:
            answer = stream.request(body)
            row = self.row(wave, answer, body, began, label)
            if answer.destination is None:
                return row
            parts = [response(answer.destination)] if callable(response) else list(response)
            back = stream.response(parts, status=status, headers={"content-type": content_type})
        row.response = Returned(
            sent=list(map(digest, parts)),
            returned=list(map(digest, back.body_chunks)),
            sent_whole=digest(b"".join(parts)),
            returned_whole=digest(back.body),
            ended=back.ended,
        )
        if callable(response):
            row.usage = json.loads(parts[0]).get("usage")
        return row


def broken(lab: RoutingLab) -> type[Broken] | None:
    """The broken picker that the run's mutant stands for, None without one."""
    return BROKEN.get(lab.mutant.name) if lab.mutant is not None else None


@contextmanager
def asking(site: Deployment, picker: Picker | None = None) -> Generator[Asking]:
    """Connect to a picker, by default the arm's, for the length of a `with` block; notes who is in the pool."""
    chosen = picker or site.picker
    site.lab.note(notes.MEMBERS, [replica.endpoint for replica in site.replicas])
    with Connection(chosen.target, broken(site.lab)) as connection:
        yield Asking(site, connection, chosen)


def health(lab: RoutingLab, picker: Picker, service: str = HEALTH_SERVICE) -> str:
    """What a picker's health service says of `service` (`Picker.health`), or what the run's mutant makes of it."""
    said = picker.health(service)
    mutant = broken(lab)
    return said if mutant is None else mutant.health(said)


def scrape(lab: RoutingLab, picker: Picker, label: str) -> Samples:
    """Keep a picker's metrics under `label`, source `picker`; returns them."""
    mutant = broken(lab)
    taken = picker.metrics()
    rows: list[Manifest] = [{"source": "picker", "label": label, **row} for row in taken]
    rows = rows if mutant is None else mutant.samples(rows)
    lab.samples += rows
    return Samples(rows)


def gauge(lab: RoutingLab, picker: Picker) -> float | None:
    """How many endpoints a picker counts as ready; None while it does not tell."""
    return _gauge(lab, picker, "ready_endpoints", {"name": picker.pool})


def _gauge(lab: RoutingLab, picker: Picker, metric: str, labels: Mapping[str, str]) -> float | None:
    mutant = broken(lab)
    try:
        rows: list[Manifest] = [{"source": "picker", "label": "", **row} for row in picker.metrics()]
        samples = Samples(rows if mutant is None else mutant.samples(rows))
        rows = samples.select(name_in(samples, metric, PICKER))
        return sum(float(row["value"]) for row in rows if labels.items() <= row["labels"].items())
    except (ClusterError, LookupError):
        return None


def running(lab: RoutingLab, picker: Picker) -> float | None:
    """How many requests a picker counts as under way; None while it does not tell."""
    return _gauge(lab, picker, "requests_running", {})


def settled(epp: Asking, waiting: float) -> None:
    """Give the picker time to know its model servers' load: until its metrics say that on average `waiting` wait.

    Choices cannot tell it: a picker that knows of no load picks the least loaded replica, too, now and then.
    """

    def known() -> bool:
        seen = _gauge(epp.site.lab, epp.picker, "average_queue_size", {"name": epp.picker.pool})
        return seen is not None and abs(seen - waiting) < 0.01

    epp.site.lab.observe(known, "the picker knows its replicas' load", timeout=5)


@contextmanager
def where_possible(lab: RoutingLab, *changes: str) -> Generator[None]:
    """Go on after a `with` block that takes an arm of processes; judges find in `NOT_POSSIBLE` what was left out."""
    try:
        yield
    except NotFromOutside as limit:
        for change in changes:
            lab.note_under(notes.NOT_POSSIBLE, change, str(limit))


def follow(
    epp: Asking,
    what: str,
    act: Callable[[], object],
    *,
    into: Sequence[str] | Callable[[], Sequence[str]] = (),
    out: Sequence[str] = (),
) -> None:
    """Change something, and note how long it takes until endpoints are in, or out of, the picker's choices.

    An endpoint is in when it is picked where it is the only one allowed. Noted as `changes`: `what`, `endpoint`,
    `expected` ("in" or "out"), `seconds` since before the change was made (None: not seen within `FOLLOWED`); on
    somebody's cluster since after it, as pods and their status take the kubelet's time. `into` may be a function,
    asked after the change: a pod that was made again has another address there.
    """
    lab = epp.site.lab
    body = epp.body("probe")
    began = time.monotonic()
    act()
    if not epp.site.routing.at_hand:
        began = time.monotonic()
    into = into() if callable(into) else into
    for expected, endpoint in [*(("in", one) for one in into), *(("out", one) for one in out)]:
        seen = _seconds_until(
            lambda endpoint=endpoint: epp.ask("probe", body, subset=[endpoint], timeout=1).destination == endpoint,
            expected == "in", f"{endpoint} to be {expected} after {what}", began,
        )  # fmt: skip
        change = {"what": what, "endpoint": endpoint, "expected": expected, "seconds": seen}
        lab.note_next(notes.CHANGES, change)


def follow_gauge(epp: Asking, what: str, expected: int) -> None:
    """Note how long it takes until the picker's metrics count `expected` ready endpoints (`gauges`, as `follow`)."""
    lab = epp.site.lab
    began = time.monotonic()
    seen = _seconds_until(
        lambda: gauge(lab, epp.picker) == expected, True, f"{expected} ready endpoints after {what}", began
    )
    change = {"what": what, "endpoint": f"a count of {expected}", "expected": "in", "seconds": seen}
    lab.note_next(notes.GAUGES, change)


def follow_health(epp: Asking, what: str, expected: str) -> None:
    """Note how long it takes until the picker's health service says `expected` (`healths`, as `follow`)."""
    lab = epp.site.lab
    seen = _seconds_until(
        lambda: health(lab, epp.picker) == expected, True, f"{expected} after {what}", time.monotonic()
    )
    change = {"what": what, "endpoint": expected, "expected": "in", "seconds": seen}
    lab.note_next(notes.HEALTHS, change)


def _seconds_until(look: Callable[[], bool], expected: bool, what: str, began: float) -> float | None:
    """Seconds from `began` until a look is as expected, None if that does not happen within `FOLLOWED`."""
    try:
        wait(look, lambda seen: seen == expected, what=what, timeout=FOLLOWED, delay=0.01)
    except WaitTimeout:
        return None
    return round(time.monotonic() - began, 3)
