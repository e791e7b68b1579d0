"""Forwards KV-cache events from the model servers to the endpoint picker, and writes down every one: the tap.

Run as `python -m gpuassay.systems.llmd.component.serve.forwarder --listen PORT --to PORT`. It binds where
all model servers publish and connects to where the picker has bound. Two reasons: the picker's own socket is deaf for
five seconds after any publisher disconnects (llm-d-kv-cache v0.9.0), and somebody else must see what the picker was
told.

A line of the tap is `{"at", "topic", "sequence", "bytes", "blocks", "kinds"}`: receipt time in ns since the epoch, the
topic `kv@<address>:<port>@<model>`, the publisher's running number, the size of the payload, the number of block hashes
in it, and how many events of each kind (BlockStored, BlockRemoved, AllBlocksCleared).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO, cast

import msgspec
import zmq


def _event(event: Any) -> tuple[str, int]:
    """Kind and number of block hashes of one event, in either of vLLM's forms: a tagged array, or a map."""
    if isinstance(event, dict):
        fields = cast("dict[str, Any]", event)
        return str(fields.get("type", "unknown")), len(fields.get("block_hashes") or ())
    parts = cast("Sequence[Any]", event)
    hashes: Any = parts[1] if len(parts) > 1 else ()
    return str(parts[0]), len(cast("Sequence[Any]", hashes)) if isinstance(hashes, (list, tuple)) else 0


def described(frames: Sequence[bytes], at: int) -> dict[str, Any]:
    """One multipart message [topic, sequence, payload] as a line of the tap; a payload nobody can read says so."""
    topic, sequence, payload = (*frames, b"", b"", b"")[:3]
    line: dict[str, Any] = {
        "at": at, "topic": topic.decode(errors="replace"), "sequence": int.from_bytes(sequence, "big"),
        "bytes": len(payload),
    }  # fmt: skip
    try:
        batch: Any = msgspec.msgpack.decode(payload)
        named = isinstance(batch, dict)
        events = cast("Sequence[Any]", batch["events"] if named else batch[1])
        found = [_event(event) for event in events]
    except (msgspec.DecodeError, IndexError, KeyError, TypeError):
        return line | {"blocks": 0, "kinds": {}, "unreadable": True}
    return line | {"blocks": sum(count for _, count in found), "kinds": dict(Counter(kind for kind, _ in found))}


def forward(source: zmq.Socket[bytes], sink: zmq.Socket[bytes], tap: TextIO) -> None:
    """Pass messages on as they are until interrupted; each is sent before it is written down."""
    while True:
        frames = source.recv_multipart()
        sink.send_multipart(frames)
        tap.write(json.dumps(described(frames, time.time_ns())) + "\n")
        if not source.poll(0):
            tap.flush()


def _tap(name: str) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout) if name == "-" else open(name, "a")


class _Ended(Exception):  # noqa: N818 - no error
    """SIGTERM."""


def _end(*_: object) -> None:
    raise _Ended


def main(arguments: Iterable[str]) -> int:
    """Forward until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True, help="port for the model servers")
    parser.add_argument("--on", default="127.0.0.1", help="address of that port")
    parser.add_argument("--to", type=int, required=True, help="port of the endpoint picker")
    parser.add_argument("--at", default="127.0.0.1", help="address of the endpoint picker")
    parser.add_argument("--tap", default="-", help="file for one line per message; - is the standard output")
    options = parser.parse_args(list(arguments))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with zmq.Context() as context, _tap(options.tap) as tap:
        source, sink = context.socket(zmq.SUB), context.socket(zmq.PUB)
        source.rcvhwm = sink.sndhwm = 0  # never drop: a lost event is never repeated
        source.linger = sink.linger = 0
        sink.reconnect_ivl = 50
        source.subscribe(b"")
        try:
            source.bind(f"tcp://{options.on}:{options.listen}")
        except zmq.ZMQError as error:
            print(f"forwarder: port {options.listen}: {error}", flush=True)
            return 1
        sink.connect(f"tcp://{options.at}:{options.to}")
        print(f"forwarder: from {options.listen} to {options.to}", flush=True)
        try:
            forward(source, sink, tap)
        except _Ended:
            tap.flush()
        finally:
            source.close()
            sink.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
