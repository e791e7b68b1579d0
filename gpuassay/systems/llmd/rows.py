"""Rows of a routing recording: a request to a model server, a call to an endpoint picker, a KV-cache event.

Times ending in `_ns` are ns of CLOCK_MONOTONIC of the machine that asked. A field with its default is left out of the
file, and a file with a field that this version does not know is refused: a judge that skips what it cannot read would
judge something else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gpuassay.load.headers import ASKED
from gpuassay.load.rows import Row


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request as it was sent: digest of its bytes, and of its JSON value (None: it is no JSON)."""

    body: str
    value: str | None


class RequestRow(Row, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One request to a model server, through a gateway or directly; or, with the picker alone, what became of it.

    What the load generator knows of a request (`gpuassay.load.rows.Row`), and:

    Attributes:
        wave: the occasion on which it was sent; judges ask for rows by it.
        label: of the prompt, or what the scenario calls the request.
        model: that the picker had asked for in the body that it handed on; None where nobody looked.
        method: HTTP method.
        chunk_ns: receipt of each of the first 200 chunks of the answer.
        body: digest of the answer's bytes; "" where they were not kept.
        sent: what was sent; None where it was not kept, or there was no body.
        untold: why nothing tells who served an answer, "" where `served_by` does or nobody looked further.
    """

    wave: str
    label: str = ""
    warm_up: bool = False
    request_id: str = ""
    model: str | None = None
    method: str = "POST"
    chunk_ns: list[int] = []  # noqa: RUF012 - every row gets its own
    body: str = ""
    sent: Sent | None = None
    untold: str = ""

    @property
    def ok(self) -> bool:
        """Whether the answer is complete: status 200 and no error."""
        return self.status == 200 and not self.error

    @property
    def asked_picker(self) -> bool:
        """Whether the answer carries the picker's mark (`gpuassay.load.headers.ASKED`)."""
        return self.headers.get(ASKED) == "true"

    @property
    def took_s(self) -> float:
        """From the start to the end of the answer or the failure, s."""
        return (self.end_ns - self.start_ns) / 1e9


def of_wave(row: Row, wave: str) -> RequestRow:
    """A row of the load generator as one of a recording."""
    return RequestRow(wave=wave, **msgspec.structs.asdict(row))


class Returned(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A response that passed a picker.

    Attributes:
        sent, returned: digests of its chunks, as sent and as they came back.
        sent_whole, returned_whole: digests of all bytes.
        ended: gRPC code of a stream that ended before the response was complete, "" where it was.
    """

    sent: list[str]
    returned: list[str]
    sent_whole: str
    returned_whole: str
    ended: str


class PickerCall(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One request asked of an endpoint picker as Envoy does (external processing), with no gateway in between.

    Attributes:
        wave: the occasion on which it was asked; judges ask for calls by it.
        index: its place among the scenario's calls to that picker, from 0.
        label: what the scenario calls it.
        start_ns, end_ns: when it was asked, and when the picker had answered.
        status: HTTP status of an immediate response, None without one.
        destination: endpoint (`address:port`) in the header, None without one.
        metadata_destination: endpoint in the dynamic metadata, None without one.
        clear_route_cache: whether the gateway was told to choose its route anew.
        ended: gRPC code of a stream that broke off, "" where it did not.
        detail: what the picker said with a refusal or an end.
        sent, returned: digests of the body's meaning, as sent and as handed on; None without a body.
        largest_chunk: bytes of the largest chunk of the body that was handed on.
        count: chunks in which the body was sent; None where a response followed.
        hint: endpoints that the gateway allowed, None without a hint.
        response: the response that followed, None without one.
        usage: what a model server's response said of tokens.
    """

    wave: str
    index: int
    label: str = ""
    start_ns: int = 0
    end_ns: int = 0
    status: int | None = None
    destination: str | None = None
    metadata_destination: str | None = None
    clear_route_cache: bool = False
    ended: str = ""
    detail: str = ""
    sent: str | None = None
    returned: str | None = None
    largest_chunk: int = 0
    count: int | None = None
    hint: list[str] | None = None
    response: Returned | None = None
    usage: dict[str, Any] | None = None

    @property
    def picked(self) -> bool:
        """Whether an endpoint was picked: named in the header, not refused, and the stream went on."""
        return self.status is None and not self.ended and bool(self.destination)


class KvEvent(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of KV-cache events of a model server.

    Attributes:
        arm: of which deployment of the scenario.
        at: when the forwarder passed it on, ns since the epoch.
        topic: under which it came, `kv@address:port@model`.
        sequence: the server's number of it.
        bytes: its size.
        blocks: block hashes in it.
        kinds: events in it, by kind.
        unreadable: it is no batch of events.
    """

    arm: str
    at: int = 0
    topic: str = ""
    sequence: int = 0
    bytes: int = 0
    blocks: int = 0
    kinds: dict[str, int] = {}
    unreadable: bool = False


class ShapeRow(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One request of some shape, and what came of it on one way.

    Attributes:
        group, label: which request.
        hop: `direct` (asked of a model server itself) or `gateway`.
        status: HTTP status, None without an answer.
        kind: media type of the answer.
        meaning: the answer as JSON with sorted keys, without what servers make up; "" of a refusal.
        detail: beginning of a refusal's text.
        served_by: Pod that answered, "" where none is told.
        error: why there is no answer.
        took_s: s until the answer was there.
        headers: names and values of the answer's headers, in order.
    """

    group: str
    label: str
    hop: str
    status: int | None = None
    kind: str = ""
    meaning: str = ""
    detail: str = ""
    served_by: str = ""
    error: str = ""
    took_s: float = 0.0
    headers: list[list[str]] = []


class NeighbourRow(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A fault of one of a picker's neighbours, and how others fared meanwhile.

    Attributes:
        neighbour, fault: who is at fault, and how.
        asked, answered: requests for others, and those for which an endpoint was picked.
        slowest_s: s until the slowest of them was answered.
        alive: the picker is the process that it was before.
        followed: whether a prompt went where it is cached; None where that was not asked.
        said: complaints in the picker's log meanwhile.
        counted: its counters of errors that moved.
        detail: what it said with a refusal.
    """

    neighbour: str
    fault: str
    asked: int
    answered: int
    slowest_s: float
    alive: bool
    followed: bool | None = None
    said: list[str] = []
    counted: list[str] = []
    detail: str = ""


class RestArm(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An arm at rest: all that was asked of it has ended, or had the time to.

    Attributes:
        arm: name of the arm in its scenario.
        profile, picker, gateway, engine: of the arm (`component.spec.Arm`).
        faked: its model servers report metrics that the scenario writes.
        quiet: nothing was under way any more, and nothing was counted between two looks.
        took_s: s that the looks took.
        members: endpoints of its pool by the API; None where nobody could tell.
        programs: whose metrics are looked at: model servers by name, `picker`, `gateway`.
        alive: those that ran at rest and were not stopped.
        restarted: those of them that were started again since the first look.
        silent: those of them that did not tell their metrics.
        through: answers that clients got through the gateway since the first look, by method and class of status
            (`POST 2xx`), and requests that got none (`none`).
        refused: requests of the scenario so far that nobody answered with 200, asked in whatever way.
        picked: requests that were asked of the picker itself, with no gateway in between.
        own_gateway: its gateway is ours, and sends every request to this arm's picker.
        disturbed: what the scenario did to programs, pool and tokenizer meanwhile, such as `picker: kill`.
    """

    arm: str
    profile: str = ""
    picker: str = ""
    gateway: str = ""
    engine: str = ""
    faked: bool = False
    quiet: bool = True
    took_s: float = 0.0
    members: int | None = None
    programs: list[str] = []
    alive: list[str] = []
    restarted: list[str] = []
    silent: list[str] = []
    through: dict[str, int] = {}
    disturbed: list[str] = []
    refused: int = 0
    picked: int = 0
    own_gateway: bool = False


class RestSeries(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One series of a program's metrics page, at the start of an arm and at rest; None where it was not there."""

    arm: str
    source: str
    name: str
    labels: dict[str, str] = {}
    start: float | None = None
    rest: float | None = None


class RestLog(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A line of a program's log that tells of an error or a crash.

    Attributes:
        arm: name of the arm in its scenario.
        log: of which program.
        kind: `crash` (a panic, a fatal error, a data race) or `error`.
        line: what it says.
        count: how often.
    """

    arm: str
    log: str
    kind: str
    line: str
    count: int = 1
