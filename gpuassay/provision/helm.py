"""Helm as a program: the user's own where there is one, else built from its Go module. Versions 3 and 4."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpuassay import toolchain
from gpuassay.access.kubeconfig import members
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node import linux
from gpuassay.environment import inherited
from gpuassay.manifest import Manifest, dig
from gpuassay.toolchain import Assets
from gpuassay.toolchain.errors import ToolchainError

SECONDS = 600.0
"""For one call."""


@dataclass(frozen=True)
class Chart:
    """What is installed.

    Attributes:
        source: a folder, an archive, a URL or an OCI reference, as `helm install` takes it.
        release: its name.
        namespace: where it goes.
        values: laid over the chart's own, the last file first in weight after them.
        files: files of values that the user gives.
        version: of a chart from a repository.
        beside: whether its dependencies are folders beside it (`file://../NAME`), which helm takes only when packed.
    """

    source: str
    release: str
    namespace: str
    values: Mapping[str, Any]
    files: Sequence[Path] = ()
    version: str = ""
    beside: bool = False


class Helm:
    """Calls helm for one cluster."""

    def __init__(self, cluster: Cluster, assets: Assets | None, folder: Path) -> None:
        """`folder` holds charts with their dependencies, and what helm keeps for itself; never values."""
        found = shutil.which("helm")
        if found is None:
            try:
                found = str(toolchain.programs("helm", assets).path("helm"))
            except ToolchainError as error:
                raise ClusterError(f"charts are installed by helm, and there is none: install helm ({error})") from None
        self.program = found
        self._cluster, self._folder = cluster, folder

    def render(self, chart: Chart) -> list[Manifest]:
        """The objects that an installation would create, CRDs and hooks included.

        Raises:
            ClusterError: the chart or its values are no good; helm's own last line says why.
        """
        if chart.version and Path(chart.source).exists():
            self._refuse_another(chart)  # helm heeds a version of repositories only, and says nothing
        told = self._run(
            "template", chart.release, self._source(chart), "--include-crds", *_arguments(chart), values=chart
        )
        try:
            return [one for one in yaml.safe_load_all(told) if one]
        except yaml.YAMLError as error:
            raise ClusterError(f"chart {chart.source} renders to no YAML: {' '.join(str(error).split())}") from None

    def _refuse_another(self, chart: Chart) -> None:
        there = str(dig(yaml.safe_load(self._run("show", "chart", chart.source)), "version", default="unknown"))
        if there.removeprefix("v") != chart.version.removeprefix("v"):
            raise ClusterError(
                f"chart {chart.source} is of version {there}, not {chart.version}: leave out its version, or name a "
                "source that has it"
            )

    def install(self, chart: Chart) -> None:
        """Create its objects and run its hooks; that it works is for the caller to see."""
        self._run("install", chart.release, self._source(chart), "--create-namespace", *_arguments(chart), values=chart)

    def upgrade(self, chart: Chart) -> None:
        """Take a release to another chart; what a try that was killed has left pending is forgotten first.

        Helm holds a lock of its own by a release's status, `pending-upgrade`, which outlives it.

        Raises:
            ClusterError: there is no such release, its installation has not come to its end, or helm refuses.
        """
        api, mine = self._cluster.api, f"owner=helm,name={chart.release}"
        if not api.list("Secret", chart.namespace, f"{mine},status in (deployed,superseded,failed)"):
            raise ClusterError(f"there is no release {chart.release} whose installation has come to its end")
        for one in api.list("Secret", chart.namespace, f"{mine},status in (pending-upgrade,pending-rollback)"):
            api.delete("Secret", str(one["metadata"]["name"]), chart.namespace)
        self._run("upgrade", chart.release, self._source(chart), *_arguments(chart), values=chart)

    def uninstall(self, release: str, namespace: str) -> None:
        """Remove a release; one that is gone is fine."""
        self._run("uninstall", release, "--namespace", namespace, "--ignore-not-found")

    def releases(self) -> list[Mapping[str, Any]]:
        """Every release of the cluster: name, namespace, chart, app_version, status."""
        return json.loads(self._run("list", "--all-namespaces", "--output", "json") or "[]")

    def _source(self, chart: Chart) -> str:
        """What helm takes as the chart: a copy with its dependencies packed, where these lie beside it."""
        if not chart.beside:
            return chart.source
        origin = Path(chart.source)
        copy = self._folder / "charts" / chart.release
        if not copy.exists():
            for file in origin.parent.rglob("*"):  # modes are left behind: Go's module cache is read-only
                if file.is_file():
                    to = copy / file.relative_to(origin.parent)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes(file.read_bytes())
            self._run("dependency", "build", str(copy / origin.name))
        return str(copy / origin.name)

    def _run(self, *words: str, values: Chart | None = None) -> str:
        """Helm's output; the values of a chart go by its input, since a file could outlive us with what is in them."""
        cluster = self._cluster
        files = members(cluster.kubeconfig)
        where = ["--kubeconfig", str(files[0])] if len(files) == 1 else []
        where += ["--kube-context", cluster.context] if cluster.context and files else []
        own = {f"HELM_{name}_HOME": str(self._folder / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        user = {name: os.environ[name] for name in own if name in os.environ}  # a user's repositories count
        environment = inherited() | ({} if shutil.which("helm") else own) | user
        if len(files) > 1:  # helm knows a list from its environment only
            environment["KUBECONFIG"] = str(cluster.kubeconfig)
        try:
            done = subprocess.run(
                [self.program, *words, *where], capture_output=True, text=True, timeout=SECONDS, check=False,
                env=environment, preexec_fn=_die_with_us, input=json.dumps(values.values) if values else "",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ClusterError(f"helm {words[0]} took more than {SECONDS:g} s") from None
        if done.returncode:
            said = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
            raise ClusterError(
                f"helm {words[0]} failed ({done.returncode}): {said[-1] if said else '(it printed nothing)'}"
            )
        return done.stdout


def _arguments(chart: Chart) -> list[str]:
    files = [argument for one in ("-", *chart.files) for argument in ("--values", str(one))]
    return ["--namespace", chart.namespace, *files, *(["--version", chart.version] if chart.version else [])]


def _die_with_us() -> None:
    """Who is killed while helm runs must not be outlived by it: it would make objects behind the back of a removal."""
    linux.die_with_parent(signal.SIGKILL)
