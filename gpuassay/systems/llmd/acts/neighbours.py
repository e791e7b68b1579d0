"""Faults of a picker's neighbours: metrics pages, KV-cache events and requests as they come from broken or newer ones.

Each fault is there for a while, and the picker is asked meanwhile on behalf of those whom it does not concern. What it
says of the fault is looked for in its log and in its own metrics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from gpuassay.systems.llmd.acts.scheduling import pick
from gpuassay.systems.llmd.judge.rest_names import is_counted, is_of_runtime
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic
from gpuassay.systems.llmd.objects.tokens import token_ids
from gpuassay.systems.llmd.readings import NEIGHBOURS
from gpuassay.systems.llmd.rows import NeighbourRow
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment
    from gpuassay.systems.llmd.component.simulator import Replica

SCRAPES = 2
"""Looks of the picker at a faulty page before it is judged."""
PATIENCE = 3.0
"""Seconds for them, and for an event to show."""
IMPATIENCE = 1.0
"""Seconds for an event to show, once another one has not."""
GIVEN_UP = 2
"""Faults in a row during which nobody was answered, after which nobody is asked any more."""
FOLLOWS = 12
"""Picks that must all go where a prompt is cached: of three replicas chance does that once in half a million."""
BLOCK = 16
"""Tokens of a block, as pickers and model servers of these arms have it."""
WORDS = 64
"""Tokens of a prompt: four blocks."""

_RUNNING, _WAITING, _USED = "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"
_HEALTHY = f"{_RUNNING} 0\n{_WAITING} 0\n{_USED} 0\n"


@dataclass(frozen=True)
class Page:
    """What a model server's metrics address answers.

    Attributes:
        status: HTTP status.
        body: the page.
        kind: media type.
        delay: s before it comes.
    """

    status: int = 200
    body: str = _HEALTHY
    kind: str = "text/plain; version=0.0.4"
    delay: float = 0.0


PAGES: Mapping[str, Page] = {
    "not found": Page(404, "no such page"),
    "refused": Page(401, "who are you?"),
    "failing": Page(500, "out of memory"),
    "empty": Page(200, ""),
    "a web page": Page(200, "<!DOCTYPE html><title>Sign in</title>", "text/html"),
    "JSON": Page(200, '{"running": 0}', "application/json"),
    "no family of ours": Page(200, "up 1\n"),
    "one family absent": Page(200, f"{_RUNNING} 0\n{_WAITING} 0\n"),
    "NaN": Page(200, _HEALTHY.replace(" 0\n", " NaN\n")),
    "infinite": Page(200, _HEALTHY.replace(" 0\n", " +Inf\n")),
    "below zero": Page(200, _HEALTHY.replace(" 0\n", " -1\n")),
    "beyond int64": Page(200, _HEALTHY.replace(" 0\n", " 1e300\n")),
    "cut": Page(200, _HEALTHY[:-3]),
    "twice": Page(200, _HEALTHY + _HEALTHY),
    "binary": Page(200, "\x00\x01\x02\n"),
    "slow": Page(delay=1.5),
}
"""Metrics pages that model servers, proxies before them, or the wrong port give."""


@contextmanager
def faulty_metrics(replica: Replica) -> Generator[Callable[[Page], Callable[[], int]]]:
    """Kill a replica and answer its metrics address; yields what sets the page and returns the count of looks at it."""
    replica.kill()
    state: dict[str, Any] = {"page": Page(), "seen": 0}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Looks are counted, not printed."""

        def do_GET(self) -> None:
            """The page of the moment."""
            page: Page = state["page"]
            state["seen"] += 1
            if page.delay:
                ended.wait(page.delay)
            body = page.body.encode()
            try:
                self.send_response(page.status)
                self.send_header("content-type", page.kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the picker did not wait

    ended = threading.Event()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A picker that does not wait is part of the test."""

    server = Server(replica.stand_in_address, Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="faulty metrics", daemon=True)
    thread.start()

    def show(page: Page) -> Callable[[], int]:
        state["page"], state["seen"] = page, 0
        return lambda: state["seen"]

    try:
        with replica.answered_by(server.server_address[1]):
            yield show
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Watching:
    """A picker whose neighbours are at fault, with a pen.

    Attributes:
        site: an arm that is up, without a gateway.
    """

    site: Deployment
    _number: int = field(default=0)
    _silent: int = field(default=0)
    _missed: bool = field(default=False)

    def prompt(self) -> Prompt:
        """A prompt that nobody has seen."""
        self._number += 1
        return synthetic(f"neighbour{self._number}", WORDS, 4711)

    def during(
        self, neighbour: str, fault: str, act: Callable[[], object], *, others: Sequence[Replica] | None = None,
        expected: Replica | None = None, prompt: Prompt | None = None, headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Let a fault happen, then ask for others: one row of the recording.

        Args:
            neighbour: who is at fault.
            fault: what it does.
            act: makes it so, and waits until the picker has met it.
            others: endpoints among which each is asked for once by a hint; all replicas by default.
            expected: the replica to which `prompt` must go, once the picker had time to hear of it.
            prompt: that it has.
            headers: of each request.
            fields: of each body.
        """
        if self._silent >= GIVEN_UP:
            act()
            self._note(NeighbourRow(
                neighbour=neighbour, fault=fault, asked=1, answered=0, slowest_s=0.0, alive=self._start() is not None,
                followed=None if expected is None else False, detail="not asked: nobody was answered before",
            ))  # fmt: skip
            return
        picker = self.site.picker
        start, offset = self._start(), picker.log_offset()
        before = self._counters()
        act()
        wave, more = f"{neighbour}/{fault}", dict(fields or {})
        self.site.faults.add(f"{neighbour}: {fault}")
        rows = [
            row for one in (self.site.replicas if others is None else others)
            for row in pick(self.site, wave, [self.prompt()], among=[one], headers=headers, **more)
        ]  # fmt: skip
        rows += pick(self.site, wave, [self.prompt()], headers=headers, **more)
        followed = None if expected is None or prompt is None else self._followed(wave, prompt, expected)
        lines, _ = picker.log_lines(offset)
        told = {str(line.get("msg", line.get("text", "")))[:160] for line in lines if _complains(line)}
        counted = [name for name, value in self._counters().items() if value > before.get(name, 0.0)]
        self._silent = 0 if any(row.ok for row in rows) else self._silent + 1
        self._note(
            NeighbourRow(
                neighbour=neighbour, fault=fault, asked=len(rows), answered=sum(row.ok for row in rows),
                slowest_s=round(max(row.took_s for row in rows), 3), alive=start is not None and self._start() == start,
                followed=followed, said=sorted(told)[:5], counted=counted[:5],
                detail=next((row.detail or row.error for row in rows if not row.ok), ""),
            )
        )  # fmt: skip

    def _note(self, row: NeighbourRow) -> None:
        self.site.lab.rows(NEIGHBOURS).append(row)

    def _followed(self, wave: str, prompt: Prompt, expected: Replica) -> bool:
        try:
            wait(
                lambda: {row.served_by for row in pick(self.site, f"{wave}/follows", [prompt] * FOLLOWS, at_once=4)},
                {expected.name}.__eq__, what="the prompt to go where it is cached",
                timeout=IMPATIENCE if self._missed else PATIENCE, delay=0.05,
            )  # fmt: skip
        except WaitTimeout:
            self._missed = True
            return False
        return True

    def _start(self) -> str | None:
        """Which start of the picker lives."""
        return self.site.picker.child.start_seen()

    def _counters(self) -> dict[str, float]:
        """The picker's own counters of what went wrong, by name and labels."""
        found: dict[str, float] = {}
        for row in self.site.picker.metrics():
            name = row["name"]
            if is_counted(name) and not is_of_runtime(name) and ("error" in name or "fail" in name or "drop" in name):
                found[f"{name}{sorted(row['labels'].items())}"] = row["value"]
        return found


def _complains(line: Mapping[str, Any]) -> bool:
    return str(line.get("level")) in ("error", "warn", "warning", "fatal", "panic", "dpanic")


# --- KV-cache events --------------------------------------------------------------------------------------------------


def stored(prompt: Prompt, *more: Any, hashes: Callable[[int], Any] = lambda n: 2**63 + n) -> list[Any]:
    """The event of a model server that now has a prompt, as vLLM encodes it; `hashes`: name of each of its blocks."""
    ids = token_ids(prompt.text)
    whole = len(ids) // BLOCK
    return ["BlockStored", [hashes(n) for n in range(whole)], None, ids[: whole * BLOCK], BLOCK, None, "GPU", *more]


def as_map(event: Sequence[Any]) -> dict[str, Any]:
    """The same event in vLLM's newer form: names instead of places."""
    names = ("type", "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium")
    return dict(zip(names, event, strict=False))


def batch(*events: Any) -> bytes:
    """Events as a model server publishes them: time, events, data-parallel rank."""
    return msgspec.msgpack.encode([time.time(), list(events), 0])


@contextmanager
def publishing(site: Deployment) -> Generator[Callable[[Sequence[bytes]], None]]:
    """A publisher beside the model servers; yields what sends one message and waits until it has passed the tap."""
    forwarder = site.routing.forwarder
    assert forwarder is not None
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{forwarder.way_in}")

        def send(frames: Sequence[bytes]) -> None:
            before = len(forwarder.events())
            wait(
                lambda: socket.send_multipart(list(frames)) or len(forwarder.events()) > before, bool,
                what="a message to pass the tap", timeout=PATIENCE, delay=0.05,
            )  # fmt: skip

        yield send
