"""Follows the logs of pods by the API into a file: what a component of somebody's cluster says of its decisions."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from gpuassay.access.connection import NoAnswer
from gpuassay.access.errors import AccessError
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig

LOOK_SECONDS = 1.0
"""Between two looks for new pods, such as after a restart."""
QUIET_SECONDS = 30.0
"""A stream that says nothing for so long is opened anew where it ended: its server may be gone."""


def unreadable(api: Api, namespace: str, selector: str) -> str:
    """Why logs of these pods cannot be read, or ""."""
    try:
        pods = api.list("Pod", namespace, selector)
        if not pods:
            return f"no pod with {selector} in {namespace}"
        api.raw(f"/api/v1/namespaces/{namespace}/pods/{pods[0]['metadata']['name']}/log?tailLines=1")
    except (ApiRefused, ClusterError) as error:
        return str(error)
    return ""


@contextmanager
def followed(api: Api, namespace: str, selector: str, file: Path) -> Generator[None]:
    """Append what pods say to `file`, whole lines only, from now until the end of the `with` block."""
    follower = _Follower(api, namespace, selector, file)
    thread = threading.Thread(target=follower.run, name=f"logs-{namespace}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.end.set()
        thread.join(LOOK_SECONDS * 5)


class _Follower:
    def __init__(self, api: Api, namespace: str, selector: str, file: Path) -> None:
        self.end = threading.Event()
        self._api, self._namespace, self._selector, self._file = api, namespace, selector, file
        self._lock = threading.Lock()
        self._known: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Follow every container instance that appears."""
        first = True
        with self._file.open("ab", buffering=0) as out:
            while not self.end.is_set():
                for pod in self._pods():
                    instance = (str(pod["metadata"]["name"]), _restarts(pod))
                    if instance not in self._known and _running(pod):
                        self._known.add(instance)
                        # of what is there already, only what is said from now on
                        arguments = (instance[0], out, first)
                        threading.Thread(target=self._follow, args=arguments, daemon=True).start()
                first = False
                self.end.wait(LOOK_SECONDS)
            with self._lock:  # a follower may be about to write
                out.close()

    def _pods(self) -> list[Manifest]:
        with suppress(ApiRefused, ClusterError):
            return self._api.list("Pod", self._namespace, self._selector)
        return []

    def _follow(self, pod: str, out: BinaryIO, from_now: bool) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod}/log"
        # what is new is told by the node's own times: its clock is not ours
        seen = self._last(path) if from_now else ""
        while not self.end.is_set():
            query = {"follow": "true", "timestamps": "true", **({"sinceTime": seen} if seen else {})}
            try:
                answer = self._api.connection.request(
                    "get", path, query=query, timeout=(5.0, QUIET_SECONDS), read=False
                )  # fmt: skip
            except (NoAnswer, AccessError):
                return
            if answer.status != 200:
                return
            ended, seen = self._copy(answer, out, seen)
            if ended:
                return

    def _last(self, path: str) -> str:
        """The time of the last line that is there; "" where there is none, or it cannot be told."""
        with suppress(ApiRefused, ClusterError):
            return self._api.raw(f"{path}?tailLines=1&timestamps=true").partition(" ")[0]
        return ""

    def _copy(self, answer: BaseHTTPResponse, out: BinaryIO, seen: str) -> tuple[bool, str]:
        """Write what is new; whether the container has ended, and the time of the last line."""
        rest = b""
        try:
            for block in answer.stream(1 << 16):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    at, _, said = line.partition(b" ")
                    if (told := at.decode(errors="replace")) > seen:  # times of one form sort as text
                        seen = told
                        with self._lock:
                            if out.closed:
                                return True, seen
                            out.write(said + b"\n")
                if self.end.is_set():
                    break
        except (HTTPError, OSError):
            return False, seen  # nothing was said for a while
        return True, seen


def _restarts(pod: Manifest) -> int:
    return int(dig(pod, "status", "containerStatuses", 0, "restartCount", default=0))


def _running(pod: Manifest) -> bool:
    return dig(pod, "status", "containerStatuses", 0, "state", "running") is not None
