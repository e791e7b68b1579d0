"""The controller as a system under test: component, pool, capability, recorded part, invariant, mutant, lab."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from gpuassay import Lab, Manifest, Part, Recording, dig
from gpuassay.system import Invariants, Pool, System

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.toolchain import Assets

NUMBERS = Part("numbers.jsonl", "a number that the controller gave", always=True)
WANTED = "numbered.example/wanted"
NUMBER = "numbered.example/number"
LOG = "numbered.jsonl"


@contextmanager
def controller(cluster: Cluster) -> Generator[None]:
    """Number ConfigMaps for the length of a `with` block, and log each number."""
    end = threading.Event()

    def number() -> None:
        given = 0
        with (cluster.directory / LOG).open("w") as log:
            while not end.wait(0.2):
                for one in cluster.api.list("ConfigMap", None, f"{WANTED}=yes"):
                    name, namespace = one["metadata"]["name"], one["metadata"]["namespace"]
                    if dig(one, "metadata", "annotations", NUMBER) is None:
                        given += 1
                        body = {"metadata": {"annotations": {NUMBER: str(given)}}}
                        cluster.api.patch("ConfigMap", name, body, namespace)
                        log.write(json.dumps({"name": name, "namespace": namespace, "number": given}) + "\n")
                        log.flush()

    thread = threading.Thread(target=number)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.engine.embedded import Prepared, on_embedded
    from gpuassay.record.resources import DEFAULT_RESOURCES, Resource

    def prepare(cluster: Cluster, stack: ExitStack) -> Prepared:
        stack.enter_context(controller(cluster))
        return Prepared(capabilities={"numbered"}, logs={NUMBERS: cluster.directory / LOG})

    return on_embedded(
        run, pool, assets, description="a control plane and the numbering controller",
        recorded=(*DEFAULT_RESOURCES, Resource("ConfigMap", "/api/v1/configmaps")), prepare=prepare,
    )  # fmt: skip


class NumberedLab(Lab):
    """What scenarios of it act with."""

    def wanted(self, *names: str) -> None:
        """Create ConfigMaps that want a number, and give them time to get one."""
        for name in names:
            meta = {"name": name, "namespace": self.namespace, "labels": {WANTED: "yes"}}
            self.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

        def numbered() -> bool:
            found = {one["metadata"]["name"]: number_of(one) for one in self.objects("ConfigMap")}
            return all(found.get(name) for name in names)

        self.observe(numbered, "all are numbered")


def number_of(one: Manifest) -> str | None:
    """The number that an object has."""
    return dig(one, "metadata", "annotations", NUMBER)


class NumberedRecording(Recording):
    """What happened in one scenario."""

    PARTS: ClassVar[Mapping[str, Part]] = {"numbers": NUMBERS}

    @property
    def numbers(self) -> dict[str, int]:
        """Numbers by the name of the object."""
        return {row["name"]: row["number"] for row in self.rows(NUMBERS)}


def doubled(recording: Any) -> list[str]:
    """Invariant: no number is given twice."""
    given = [row["number"] for row in recording.rows(NUMBERS)]
    return [f"number {one} was given twice" for one in sorted({one for one in given if given.count(one) > 1})]


SYSTEM = System(
    name="numbered",
    pools=(Pool("cluster-numbered", _open, width=4, programs=("controlplane", "kwok")),),
    pool_of=lambda _: "cluster-numbered",
    lab=lambda: NumberedLab,
    recording=NumberedRecording,
    needs=frozenset({"numbered"}),
    invariants=Invariants(untimed=doubled),
    mutants="numbered.mutants",
)
