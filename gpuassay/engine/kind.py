"""A cluster that the user's `kind` makes for a run, and that goes with it: from then on it is an existing cluster.

Source: https://kind.sigs.k8s.io/docs/user/quick-start/ (create, delete, load).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.existing import WIDTH, existing_environment
from gpuassay.engine.pools import ONE_CLUSTER, ClusterPool, Unavailable
from gpuassay.settings import EXISTING, Settings
from gpuassay.system import Open, Pool
from gpuassay.toolchain import Assets

SECONDS = 600.0
"""For one call of kind: nodes are pulled first."""
READY = "300s"
"""How long kind itself waits for its nodes."""
DOCUMENTED = "https://kind.sigs.k8s.io"


@dataclass(frozen=True)
class Kind:
    """What of it is the user's to choose.

    Attributes:
        program: the file.
        image: of its nodes; "" for kind's own.
        config: file with its configuration; "" for one node.
        archives: of images, loaded onto its nodes.
    """

    program: str
    image: str = ""
    config: str = ""
    archives: Sequence[str] = ()

    def create(self, name: str, kubeconfig: Path) -> None:
        """Make a cluster and wait until its nodes are ready.

        Raises:
            ClusterError: it cannot be made; kind's own last line says why.
        """
        image = ["--image", self.image] if self.image else []
        config = ["--config", self.config] if self.config else []
        self._run(
            "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", READY, *image, *config
        )
        for archive in self.archives:
            self._run("load", "image-archive", archive, "--name", name)

    def delete(self, name: str, kubeconfig: Path) -> None:
        """Take it away; one that was never made is fine.

        Raises:
            ClusterError: it does not go.
        """
        self._run("delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig))

    def lacking(self) -> str:
        """Why this machine can have no such cluster, "" where it can: kind itself is asked, it knows its runtimes."""
        try:
            self._run("get", "clusters")
        except ClusterError as error:
            return str(error)
        return ""

    def _run(self, *words: str) -> str:
        try:
            done = subprocess.run(
                [self.program, *words], capture_output=True, text=True, timeout=SECONDS, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ClusterError(f"kind {words[0]} took more than {SECONDS:g} s") from None
        except OSError as error:
            raise ClusterError(f"{self.program} cannot be run: {error.strerror}") from None
        if done.returncode:
            said = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
            first = next(
                (line for line in said if line.startswith("ERROR")), said[-1] if said else "it printed nothing"
            )
            raise ClusterError(f"kind {' '.join(words[:2])} failed ({done.returncode}): {first}")
        return done.stdout


def kind_pool(settings: Settings) -> Pool:
    """The one pool of a run whose cluster kind makes."""
    return Pool(ONE_CLUSTER, _environment(settings), WIDTH)


def _found(settings: Settings) -> Kind:
    """The user's kind.

    Raises:
        Unavailable: there is none, or no container runtime for it; one line says what to do.
    """
    program = shutil.which("kind")
    if program is None:
        raise Unavailable(
            f"the cluster lacks: program:kind (there is no kind on PATH; {DOCUMENTED} says how to get it)"
        )
    kind = Kind(
        program,
        settings.option("kind_node_image") or "",
        settings.option("kind_config") or "",
        tuple(settings.option("kind_load") or ()),
    )
    if reason := kind.lacking():
        raise Unavailable(f"the cluster lacks: program:kind ({reason}; kind needs Docker, Podman or nerdctl)")
    return kind


def _environment(settings: Settings) -> Open:
    @contextmanager
    def environment(run: Host, pool: ClusterPool, assets: Assets) -> Generator[Environment]:
        kind = _found(settings)
        name = f"gpuassay-{run.directory.name}"
        kubeconfig = run.directory / "kubeconfig-kind"
        run.say(f"kind makes cluster {name}; after a run that was killed: kind delete cluster --name {name}")
        try:
            kind.create(name, kubeconfig)
            kubeconfig.chmod(0o600)
            there = replace(settings, cluster=EXISTING, kubeconfig=str(kubeconfig), context=None, may_change=True)
            with existing_environment(there)(run, pool, assets) as found:
                yield found
        finally:
            kind.delete(name, kubeconfig)
            kubeconfig.unlink(missing_ok=True)

    return environment
