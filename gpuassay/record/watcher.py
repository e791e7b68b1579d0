"""Records one resource without loss: list once, watch, resume where the watch broke off, say so when that fails.

Rules (Kubernetes API concepts, "Efficient detection of changes"): a watch resumed at a resource version continues
after it; bookmarks move that version without a change; 410 means that the history is gone and only a new list helps.
Versions are compared as numbers within one resource, which Kubernetes documents since 1.35.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from gpuassay.record.connection import Connection
from gpuassay.record.resources import RecorderError, Resource
from gpuassay.record.spool import Spool, gap, is_watch_line, stamp, sync, synthetic

PAGE = "500"
ABSENT_SECONDS = 0.5
"""How often an absent API is asked for again."""
BACKOFF_SECONDS = (0.02, 5.0)
"""First and longest pause between attempts that bring nothing."""
CHUNK = 1 << 16

# The first match is metadata.resourceVersion: API servers write metadata before the rest, and inside annotations the
# quotes are escaped.
_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')


class Expired(Exception):  # noqa: N818 - a state of the watch, handled by relisting
    """The server no longer has the history after our version."""


class Absent(Exception):  # noqa: N818 - a state of the API, handled by asking again
    """The API does not serve this resource (now)."""


class Watcher:
    """Follows one resource into its spool until `stop` is set."""

    def __init__(
        self,
        connection: Connection,
        resource: Resource,
        spool: Spool,
        stop: Event,
        *,
        label_selector: str = "",
        note: Callable[[str], None],
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take what is needed; `note` gets a line about everything unusual."""
        self._connection, self._resource, self._spool, self._stop = connection, resource, spool, stop
        self._note, self._now = note, now
        self._query = {"labelSelector": label_selector} if label_selector else {}
        self._version = 0
        """Last version seen; 0 before the first list."""
        self._lost = ""
        """Why the history is gone, or "" while the watch can be resumed."""
        self._failures = 0

    def run(self) -> None:
        """Record until stopped.

        Raises:
            RecorderError: the API refuses this resource for good.
        """
        while not self._stop.is_set():
            try:
                if not self._version or self._lost:
                    self._list()
                self._watch()
                self._failures += 1  # a watch that brought something has set it to 0
            except Absent as e:
                if not self._resource.optional:
                    raise RecorderError(f"{self._resource.path}: {e}") from e
                self._lost = self._lost or (f"the API was absent: {e}" if self._version else "")
                self._stop.wait(ABSENT_SECONDS)
                continue
            except Expired as e:
                self._note(f"{self._resource.kind}: history after {self._version} is gone: {e}")
                self._lost = str(e)
            except (HTTPError, OSError) as e:
                self._failures += 1
                self._note(f"{self._resource.kind}: {type(e).__name__}: {e}")
            self._back_off()

    def _back_off(self) -> None:
        first, longest = BACKOFF_SECONDS
        self._stop.wait(random.uniform(0.5, 1.0) * min(longest, first * 2 ** min(self._failures, 10)))

    def _get(self, query: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        response = self._connection.get(self._resource.path, {**self._query, **query})
        if response.status == 200:
            return response
        body = response.read(2000).decode(errors="replace")
        response.release_conn()
        sentence = f"HTTP {response.status} {' '.join(body.split())[:300]}"
        if response.status == 410:
            raise Expired(sentence)
        if response.status in (403, 404):
            raise Absent(sentence)
        if response.status in (400, 401):
            raise RecorderError(f"{self._resource.path}: {sentence}")
        raise HTTPError(sentence)

    def _page(self, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        """A page of a list.

        Raises:
            HTTPError: it is none, as where a login page stands in front of the API server; it is asked for again.
        """
        body = response.read()
        response.release_conn()
        try:
            page: Any = json.loads(body)
            int(page["metadata"]["resourceVersion"])
            _ = (page["apiVersion"], page["items"])
        except (ValueError, LookupError, TypeError):
            text = " ".join(body[:200].decode(errors="replace").split())
            raise HTTPError(f"{self._resource.path} is answered with no list: {text}") from None
        return page

    def _list(self) -> None:
        """List all pages; write what changed since the last version as synthetic events."""
        items: dict[str, Mapping[str, Any]] = {}
        version, token = 0, ""
        while not version or token:
            response = self._get({"limit": PAGE, **({"continue": token} if token else {})})
            page = self._page(response)
            version = version or int(page["metadata"]["resourceVersion"])
            token = page["metadata"].get("continue", "")
            # Items of a list carry no type of their own.
            kind = {"kind": self._resource.kind, "apiVersion": page["apiVersion"]}
            for item in page["items"]:
                items[item["metadata"]["uid"]] = {**kind, **item}
        at = self._now()
        known = self._spool.known() if self._version else {}
        lines: list[bytes] = []
        if self._lost:
            lines.append(gap(at, self._resource.kind, self._version, version, self._lost))
        lines += [synthetic(at, "DELETED", obj) for uid, obj in known.items() if uid not in items]
        for uid, obj in items.items():
            before = known.get(uid)
            if before is None:
                lines.append(synthetic(at, "ADDED", obj))
            elif before["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                lines.append(synthetic(at, "MODIFIED", obj))
        lines.append(sync(at, self._resource.kind, version))
        self._spool.append(*lines)
        self._version, self._lost = version, ""

    def _watch(self) -> None:
        """Follow one watch until the server ends it.

        Raises:
            Expired: the server sent an ERROR event.
        """
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": str(self._version)}
        response = self._get(query)
        try:
            for at, lines in self._batches(response):
                fresh: list[bytes] = []
                failure = ""
                for raw in lines:
                    if raw.startswith(b'{"type":"ERROR"'):
                        failure = raw.decode(errors="replace")[:300]
                        break
                    match = _VERSION.search(raw)
                    if match is None or not is_watch_line(raw):
                        failure = f"no watch event: {raw[:100]!r}"
                        break
                    version = int(match[1])
                    if version <= self._version and not raw.startswith(b'{"type":"BOOKMARK"'):
                        continue  # seen before: a resumed watch may repeat its last event
                    self._version = max(version, self._version)
                    fresh.append(stamp(raw, at))
                if fresh:
                    self._failures = 0
                    self._spool.append(*fresh)
                if failure:
                    raise Expired(failure)
        finally:
            response.close()

    def _batches(self, response: urllib3.BaseHTTPResponse) -> Iterator[tuple[int, list[bytes]]]:
        """Complete lines with the time they were received; a half line at the end of the stream is dropped."""
        rest = b""
        while not self._stop.is_set():
            chunk = response.read1(CHUNK)
            at = self._now()
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            complete = [line for line in lines if line]
            if complete:
                yield at, complete
