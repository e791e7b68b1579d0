"""What the cluster looks like now, and what each scenario has seen so far, from the recorder's spools.

Objects handed out are shared: read them, do not change them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from gpuassay.manifest import Manifest, dig
from gpuassay.record.resources import RecorderError
from gpuassay.record.spool import SUFFIX
from gpuassay.record.timeline import EventLine
from gpuassay.waiting import wait

SCENARIO_LABEL = "gpuassay.io/scenario"
"""Label that gives a cluster-scoped object to a scenario; its value is the scenario's token."""
SHARED = frozenset({"Node", "ResourceSlice"})
"""Kinds that belong to every scenario, where they are recorded: all place their pods on the same nodes."""
TAIL = 30
"""Lines of the recorder's log shown when it dies."""
POLL_SECONDS = 0.25
"""Longest time between two looks of a wait, for conditions that no event announces."""


Listener = Callable[[str, Manifest], None]
"""Told of a change: ADDED, MODIFIED or DELETED, and the object."""


def _as_it_stands(kind: str, obj: Manifest) -> EventLine:
    """An object that was there before the scenario, as the first event about it."""
    at = time.time_ns()
    return EventLine(at, "ADDED", kind, json.dumps({"at": at, "type": "ADDED", "object": obj}, separators=(",", ":")))


class LiveView:
    """Latest objects and per-scenario event lines; safe for many threads."""

    def __init__(self, spool_dir: Path, wakeups: IO[bytes], exit_code: Callable[[], int | None] = lambda: None) -> None:
        """Tail the spools in `spool_dir` whenever `wakeups` brings something; its end means the recorder is gone.

        `exit_code` tells how it ended, for the message.
        """
        self._exit_code = exit_code
        self._folder, self._wakeups = spool_dir, wakeups
        self._changed = threading.Condition()
        self._seq = 0
        self._dead = ""
        self._aborted = ""
        self._closing = False
        self._tails: dict[Path, tuple[int, bytes]] = {}
        self._latest: dict[str, dict[str, dict[str, Manifest]]] = defaultdict(lambda: defaultdict(dict))
        self._version: dict[str, int] = defaultdict(int)
        self._synced: set[str] = set()
        self._namespaces: dict[str, str] = {}
        self._lines: dict[str, list[EventLine]] = {}
        self._listeners: list[tuple[str, Listener]] = []
        self._owner: dict[tuple[str, str], str] = {}
        """Token of a cluster-scoped object by (kind, name): Kubernetes Events about it carry no label."""
        self._reader = threading.Thread(target=self._read, name="recorder-tail", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        """Counts of objects by kind, for messages of waits."""
        with self._changed:
            counts = {kind: n for kind in sorted(self._latest) if (n := sum(map(len, self._latest[kind].values())))}
        return f"LiveView({counts})"

    # -- reading thread -------------------------------------------------------------------------------------------

    def _read(self) -> None:
        fd = self._wakeups.fileno()
        reason = ""
        try:
            while os.read(fd, 1 << 16):
                self._tail()
            self._tail()
        except Exception as e:  # whatever it is, nobody may wait for ever
            reason = f"{type(e).__name__}: {e}"
        with self._changed:
            self._dead = reason or self._last_words()
            self._changed.notify_all()

    def _last_words(self) -> str:
        log = self._folder / "recorder.log"
        lines = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
        code = self._exit_code()
        if code is not None and code < 0:
            return "\n".join([f"killed by signal {-code}; its last lines:", *(lines or ["none"])])
        if not lines:
            return "no message"
        # it ends with its reason; what it noted before is told after it
        return "\n".join([lines[-1], *(["before that:", *lines[:-1]] if len(lines) > 1 else [])])

    def _tail(self) -> None:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            offset, rest = self._tails.get(path, (0, b""))
            if path.stat().st_size <= offset:
                continue
            with path.open("rb") as spool:
                spool.seek(offset)
                data = spool.read()
            *lines, rest_now = (rest + data).split(b"\n")
            self._tails[path] = (offset + len(data), rest_now)
            parsed: list[Manifest] = [json.loads(line) for line in lines]
            with self._changed:
                for record in parsed:
                    self._take(path.name.removesuffix(SUFFIX), record)
                self._seq += 1
                self._changed.notify_all()

    def _take(self, kind: str, record: Manifest) -> None:
        change = record["type"]
        if change in ("SYNC", "GAP"):
            if change == "GAP":
                text = json.dumps(record)
                for lines in self._lines.values():
                    lines.append(EventLine(record["at"], change, kind, text))
            else:
                self._synced.add(kind)
                self._version[kind] = record["rv"]
            return
        obj: Manifest = record["object"]
        metadata = obj["metadata"]
        self._version[kind] = max(self._version[kind], int(metadata["resourceVersion"]))
        if change == "BOOKMARK":
            return
        metadata.pop("managedFields", None)
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if change == "DELETED":
            self._latest[kind][namespace].pop(name, None)
        else:
            self._latest[kind][namespace][name] = obj
        for wanted, listener in self._listeners:
            if wanted == kind:
                listener(change, obj)
        if kind in SHARED:
            text = json.dumps(record, separators=(",", ":"))
            for lines in self._lines.values():
                lines.append(EventLine(record["at"], change, kind, text))
            return
        token = self._token(kind, namespace, name, obj)
        if token in self._lines:
            text = json.dumps(record, separators=(",", ":"))
            self._lines[token].append(EventLine(record["at"], change, kind, text))

    def _token(self, kind: str, namespace: str, name: str, obj: Manifest) -> str:
        """Which scenario an object belongs to, or ""."""
        if not namespace:
            token = str(dig(obj, "metadata", "labels", SCENARIO_LABEL, default=""))
            if token in self._lines:
                self._owner[kind, name] = token
            return token or (self._namespaces.get(name, "") if kind == "Namespace" else "")
        if namespace in self._namespaces:
            return self._namespaces[namespace]
        if node := dig(obj, "spec", "nodename"):  # DAS's claims lie in its own namespace; the node says whose they are
            found = self._latest["Node"][""].get(node, {})
            return str(dig(found, "metadata", "labels", SCENARIO_LABEL, default=""))
        # An Event about a cluster-scoped object lies in the namespace "default".
        about = dig(obj, "regarding", default={})
        return self._owner.get((about.get("kind", ""), about.get("name", "")), "")

    # -- scenarios ------------------------------------------------------------------------------------------------

    def register(self, token: str, namespaces: Iterable[str] = ()) -> None:
        """Keep the events of these namespaces, and of cluster-scoped objects labelled with `token`, from now on.

        Call it before the first object is created; call it again to add namespaces.

        Raises:
            ValueError: a namespace is registered for another token.
        """
        with self._changed:
            names = set(namespaces)
            for name in names:
                if self._namespaces.get(name, token) != token:
                    raise ValueError(f"namespace {name} already belongs to {self._namespaces[name]}")
            if token not in self._lines:
                self._lines[token] = [_as_it_stands(kind, obj) for kind in SHARED for obj in self._shared(kind)]
            self._namespaces.update(dict.fromkeys(names, token))

    def _shared(self, kind: str) -> list[Manifest]:
        return list(self._latest[kind][""].values())

    def forget(self, token: str) -> None:
        """Drop what is kept for the scenario; later events of it are not kept."""
        with self._changed:
            self._lines.pop(token, None)
            for table in (self._namespaces, self._owner):
                for key in [key for key, value in table.items() if value == token]:
                    del table[key]  # pyright: ignore[reportArgumentType]

    def lines(self, token: str) -> list[EventLine]:
        """The scenario's event lines in receipt order, GAP records of all kinds included."""
        with self._changed:
            return sorted(self._lines.get(token, []), key=lambda line: line.at)

    def gaps(self, token: str) -> list[Manifest]:
        """The GAP records since the scenario was registered."""
        return [json.loads(line.text) for line in self.lines(token) if line.type == "GAP"]

    def listen(self, kind: str, listener: Listener) -> None:
        """Call `listener(type of change, object)` on every later change of a kind, in the tailing thread: be quick."""
        with self._changed:
            self._listeners.append((kind, listener))

    # -- the cluster now ------------------------------------------------------------------------------------------

    def objects(self, kind: str, namespace: str | None = None, token: str | None = None) -> list[Manifest]:
        """The latest objects of a kind, sorted by (namespace, name); in one namespace or of one scenario if given."""
        with self._changed:
            found: list[Manifest] = []
            for where in sorted(self._latest[kind]) if namespace is None else [namespace]:
                if token is not None and where and self._namespaces.get(where) != token:
                    continue
                held = self._latest[kind].get(where, {})
                found += [
                    held[name]
                    for name in sorted(held)
                    if token is None or where or self._token(kind, where, name, held[name]) == token
                ]
            return found

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """The latest object of that name, or None; without a namespace it is cluster-scoped."""
        with self._changed:
            return self._latest[kind].get(namespace or "", {}).get(name)

    def caught_up(self, kind: str, uid: str, rv: int | str) -> bool:
        """Whether the change that gave object `uid` the version `rv` has arrived.

        Events of one kind arrive in the order of their versions, so the highest version of the kind answers it.
        """
        del uid
        with self._changed:
            return self._version[kind] >= int(rv)

    def synced(self, kinds: Iterable[str]) -> bool:
        """Whether every kind has been listed and is watched."""
        with self._changed:
            return self._synced.issuperset(kinds)

    # -- waiting --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Say whether the recorder lives.

        Raises:
            RecorderError: it is gone.
        """
        with self._changed:
            if self._closing:
                raise RecorderError("the live view is closed")
            if self._aborted:
                raise RecorderError(self._aborted)
            if self._dead:
                raise RecorderError(f"the recorder died: {self._dead}")

    def changed(self, timeout: float, since: int | None = None) -> int:
        """Wait until something arrived after mark `since` (default: now), the recorder died, or time is up.

        Returns the new mark.
        """
        with self._changed:
            start = self._seq if since is None else since
            self._changed.wait_for(lambda: self._seq != start or self._dead or self._aborted, timeout)
            return self._seq

    def wait(
        self,
        ready: Callable[[LiveView], bool],
        *,
        what: str,
        timeout: float = 30,
        error: Callable[[LiveView], str | None] | None = None,
    ) -> None:
        """Wait until `ready(view)`; looks again whenever something changed.

        Raises:
            WaitTimeout: the time is up.
            WaitError: `error` gave a sentence.
            RecorderError: the recorder died.
        """
        mark = self._seq

        def look() -> LiveView:
            nonlocal mark
            self.check()
            with self._changed:
                mark = self._seq
            return self

        wait(
            look,
            ready,
            what=what,
            timeout=timeout,
            error=error,
            delay=POLL_SECONDS,
            pause=lambda seconds: self.changed(seconds, mark),
        )

    def abort(self, why: str = "the run was broken off") -> None:
        """Break off every wait under way, and each that is begun later, with a RecorderError that says `why`."""
        with self._changed:
            self._aborted = self._aborted or why
            self._changed.notify_all()

    def close(self) -> None:
        """Stop tailing; call it after the recorder was stopped."""
        with self._changed:
            self._closing = True
        self._reader.join(5)
        self._wakeups.close()
