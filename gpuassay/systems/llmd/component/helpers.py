"""The two programs of our own beside an endpoint picker: tokenization service and forwarder of KV-cache events."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, cast

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.program import OWN_ENVIRONMENT, Child, own_program
from gpuassay.waiting import wait

PROTO_MODULE = "github.com/llm-d/llm-d-kv-cache"
PROTO_FOLDER = Path("api") / "tokenizerpb"


class Tokenizer:
    """The tokenization service: the model servers' tokens, so that the picker's block hashes fit its events.

    Attributes:
        port: on loopback.
        child: the process.
    """

    def __init__(self, cluster: Cluster, folder: Path, namespace: str, port: int, engine: str = "simulator") -> None:
        """Nothing is started yet; `engine`: whose tokens it yields (`gpuassay.systems.llmd.component.spec`)."""
        self.port = port
        protos = toolchain.module_dir("llmd-epp", PROTO_MODULE, cluster.assets) / PROTO_FOLDER
        self._command = own_program("tokenizer", "--proto-dir", protos, "--port", port, "--engine", engine)
        log = folder / "logs" / "tokenizer.log"
        self.child = Child(cluster, f"{namespace}-tokenizer", log, self._command, OWN_ENVIRONMENT)

    def start(self, *, shift: int = 0) -> None:
        """Start and wait until it accepts connections; `shift` is added to every token id (a wrong tokenizer).

        Raises:
            PortLostError: its port was taken.
            ClusterError: it ended; its own last message is shown.
        """
        self.child.command = [*self._command, "--shift", str(shift)]
        self.child.launch()

        def accepts() -> bool:
            # a port taken by somebody else accepts too: then our program has ended, or is about to
            with socket.socket() as probe:
                probe.settimeout(1)
                return "serving on" in self.child.log_text() and probe.connect_ex(("127.0.0.1", self.port)) == 0

        self.child.await_ready(accepts, what="the tokenizer to serve")

    def restart(self, *, shift: int = 0) -> None:
        """Kill and start again."""
        self.child.kill()
        self.start(shift=shift)


class Forwarder:
    """The way of KV-cache events from model servers to the picker, and the tap that keeps them.

    Attributes:
        listen: port to which model servers publish.
        way_in: port of this machine that leads there.
        to: port that the picker has bound.
        tap: file with one JSON line per message (`gpuassay.systems.llmd.component.serve.forwarder`).
        child: the process.
    """

    def __init__(self, cluster: Cluster, folder: Path, namespace: str, listen: int, to: int) -> None:
        """Nothing is started yet."""
        self.listen, self.to, self.tap = listen, to, folder / "kv-events.jsonl"
        self.way_in = listen
        command = own_program("forwarder", "--listen", listen, "--to", to, "--tap", self.tap)
        log = folder / "logs" / "forwarder.log"
        self.child = Child(cluster, f"{namespace}-forwarder", log, command, OWN_ENVIRONMENT)

    def start(self) -> None:
        """Start and wait until it listens.

        Raises:
            PortLostError: its port was taken.
            ClusterError: it ended; its own last message is shown.
        """
        self.child.launch()
        self.child.await_ready(lambda: "forwarder: from" in self.child.log_text(), what="the event forwarder to listen")

    def events(self) -> list[dict[str, Any]]:
        """Every event message so far, oldest first."""
        if not self.tap.exists():
            return []
        lines = self.tap.read_text().splitlines(keepends=True)
        return [cast("dict[str, Any]", json.loads(line)) for line in lines if line.endswith("\n")]

    def await_events(self, topic: str, count: int = 1, *, since: int = 0, timeout: float = 10) -> list[dict[str, Any]]:
        """Wait for `count` messages of `topic` after the first `since` messages of the tap; returns them.

        Raises:
            gpuassay.waiting.WaitTimeout: they did not come; the topics that did are shown.
        """
        seen = wait(
            lambda: self.events()[since:],
            lambda lines: sum(line["topic"] == topic for line in lines) >= count,
            what=f"{count} KV-cache events of {topic}", timeout=timeout, delay=0.01,
        )  # fmt: skip
        return [line for line in seen if line["topic"] == topic]
