"""Requests to a gateway beyond what `Deployment.ask` does: GETs, prescribed picks, streams that it leaves."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpuassay.load.headers import ASKED, DESTINATION, NAMESPACE, POD, SERVED
from gpuassay.systems.llmd.acts.recording_server import canonical, digest
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.readings import REQUESTS
from gpuassay.systems.llmd.rows import RequestRow, Sent
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment
    from gpuassay.systems.llmd.component.simulator import Replica

SELECTION = "test-epp-endpoint-selection"
"""Request header by which the picker's test filter lets only these endpoints through (`address:port`, by comma)."""

KEPT = (POD, NAMESPACE, ASKED, SERVED, "content-type", DESTINATION)
"""Headers of answers that rows keep."""

PATIENCE = 4.0
"""Seconds for one request, so that a picker that hangs never hangs the suite."""


def prescribed(arm: Arm, *, endpoints: int = 1) -> Arm:
    """The arm with a picker that picks at random among the endpoints that a request names, up to so many of them.

    Its two plugins are those that upstream's conformance tests use. A request without a body is not scheduled by them.
    """

    def change(configuration: dict[str, Any]) -> None:
        if arm.change_picker is not None:
            arm.change_picker(configuration)
        configuration["plugins"] += [
            {"type": "header-based-testing-filter"},
            {"type": "destination-endpoint-served-verifier"},
        ]
        for plugin in configuration["plugins"]:
            if plugin["type"] == "random-picker":
                plugin["parameters"] = {"maxNumOfEndpoints": endpoints}
        for profile in configuration["schedulingProfiles"]:
            profile["plugins"].insert(0, {"pluginRef": "header-based-testing-filter"})

    return replace(arm, profile="random", change_picker=change)


def naming(replicas: Sequence[Replica]) -> dict[str, str]:
    """The header that has one of these replicas picked."""
    return {SELECTION: ",".join(replica.endpoint for replica in replicas)}


class Calls:
    """Requests through the gateway of a site, each on a connection of its own; rows go to the recording.

    A row has what `Deployment.ask` gives it, and `method`, `body`, `sent` and `chunk_ns`.
    """

    def __init__(self, site: Deployment) -> None:
        self.site = site
        self._disturbing = threading.Lock()  # waves may be asked side by side
        self._indices = itertools.count(10_000)  # apart from the site's own asks

    def one(
        self,
        wave: str,
        *,
        method: str = "POST",
        to: Sequence[Replica] | None = None,
        label: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_tokens: int = 1,
        stream: bool = False,
        timeout: float = PATIENCE,
        on_chunk: Callable[[int], bool] = lambda _: True,
        url: str | None = None,
    ) -> RequestRow:
        """One request.

        Args:
            wave: name under which judges find the row.
            method: POST of a completion, or GET of the list of models.
            to: replicas of which one is to be picked.
            label: in the row.
            headers: further ones.
            body: instead of a short completion.
            max_tokens: length of the answer.
            stream: ask for server-sent events.
            timeout: seconds until the next byte must be there; the whole request may take three times as long.
            on_chunk: told the number of each chunk of the answer, from 1; False: hang up.
            url: instead of the gateway's.
        """
        [row] = self.many(
            wave, 1, method=method, to=to, label=label, headers=headers, body=body, max_tokens=max_tokens,
            stream=stream, timeout=timeout, on_chunk=on_chunk, url=url,
        )  # fmt: skip
        return row

    def many(
        self,
        wave: str,
        count: int,
        *,
        at_once: int = 1,
        method: str = "POST",
        to: Sequence[Replica] | None = None,
        label: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_tokens: int = 1,
        stream: bool = False,
        timeout: float = PATIENCE,
        on_chunk: Callable[[int], bool] = lambda _: True,
        url: str | None = None,
    ) -> list[RequestRow]:
        """`count` equal requests, `at_once` at a time; arguments as `one`."""
        site = self.site
        if url is None and site.lab.mutant is not None:
            with self._disturbing:
                site.lab.mutant.disturb(site.routing)
        sent = {"content-type": "application/json", **(naming(to) if to else {}), **(headers or {})}
        payload = body
        if method == "POST" and payload is None:
            asked = {"model": site.routing.model, "prompt": "a few words of no import ", "max_tokens": max_tokens}
            payload = json.dumps(asked | {"ignore_eos": True, "stream": stream}).encode()

        def ask(index: int) -> RequestRow:
            row = RequestRow(wave=wave, index=index, label=label, method=method)
            mine = {**sent, "x-label": f"{wave}#{index}"}
            _exchange(row, url or site.routing.url, method, payload, mine, timeout, on_chunk)
            return row

        with ThreadPoolExecutor(at_once) as pool:
            rows = list(pool.map(ask, itertools.islice(self._indices, count)))
        site.lab.rows(REQUESTS).extend(rows)
        if url is None:
            site.count(rows)
        return rows

    def until(
        self,
        wave: str,
        good: Callable[[RequestRow], bool],
        *,
        seconds: float,
        in_a_row: int = 1,
        delay: float = 0.05,
        **asked: Any,
    ) -> bool:
        """Ask until answers are good `in_a_row` times, for `seconds` at most; whether so. Judges find every attempt."""
        what = f"a good answer in {wave}"
        try:
            wait(lambda: self.one(wave, **asked), good, what=what, timeout=seconds, successes=in_a_row, delay=delay)
        except WaitTimeout:
            return False
        return True


def _exchange(
    row: RequestRow,
    url: str,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: float,
    on_chunk: Callable[[int], bool],
) -> None:
    """Carry one request out and write into the row what came of it, whatever that is."""
    row.start_ns = time.monotonic_ns()
    row.sent = None if body is None else Sent(digest(body), canonical(body))
    host = urlsplit(url)
    connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=timeout)
    text = bytearray()
    try:
        path = "/v1/completions" if method == "POST" else "/v1/models"
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        row.status = answer.status
        row.headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() in KEPT}
        row.served_by = answer.headers.get(POD)
        until = time.monotonic() + 3 * timeout
        while chunk := answer.read1(1 << 20):
            row.chunk_ns.append(time.monotonic_ns())
            row.first_ns = row.chunk_ns[0]
            text += chunk
            if not on_chunk(len(row.chunk_ns)):
                row.error = "left"
                break
            if time.monotonic() > until:
                raise TimeoutError
        else:
            wanted = answer.headers.get("content-length")
            if wanted is not None and len(text) != int(wanted):
                raise http.client.IncompleteRead(bytes(text))
        if answer.status != 200:
            row.error, row.detail = f"http-{answer.status}", bytes(text[:300]).decode(errors="replace")
    except TimeoutError:
        row.error = "timeout"
    except http.client.IncompleteRead as error:
        row.error, row.detail = "truncated", str(error)[:300]
    except (OSError, http.client.HTTPException) as error:
        row.error = "truncated" if row.status is not None else "connection"
        row.detail = f"{type(error).__name__}: {error}"[:300]
    finally:
        connection.close()
    row.body = digest(bytes(text))
    row.last_ns = row.chunk_ns[-1] if row.chunk_ns else time.monotonic_ns()
    row.end_ns = time.monotonic_ns()
    row.chunk_ns = row.chunk_ns[:200]
