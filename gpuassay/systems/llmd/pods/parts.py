"""Picker, model servers and the programs beside them, as pods: everything but where they run is as with processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuassay import toolchain
from gpuassay.capabilities import PROGRAM
from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.program import http, log_objects
from gpuassay.manifest import dig
from gpuassay.systems.llmd.component.helpers import PROTO_FOLDER, PROTO_MODULE, Forwarder, Tokenizer
from gpuassay.systems.llmd.component.images import PICKERS, SIMULATOR
from gpuassay.systems.llmd.component.picker import Implementation, Picker, arguments
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.simulator import arguments as simulator_arguments
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.pods import hands, names
from gpuassay.systems.llmd.pods.manifests import CONFIGURATION, Program
from gpuassay.systems.llmd.pods.program import Place, PodChild
from gpuassay.toolchain import catalogue

NAME = "endpoint-picker"
GRPC, HEALTH, METRICS, EVENTS = 9002, 9003, 9090, 5557
"""Ports of a picker, as upstream's charts have them; the last one takes KV-cache events."""
FORWARDER, PUBLISHED = "event-forwarder", 5556
TOKENIZER, TOKENS = "tokenizer", 50051
FIRST = 8000
"""Port of the first model server; each has its own, as with processes."""
FILE = "picker.yaml"
OPTIONAL = frozenset({"gaie-epp"})
"""Components of which a cluster with routing may have no image: what needs them is a typed skip then."""
SERVE = "gpuassay.systems.llmd.component.serve"


class PodPicker(Picker):
    """An endpoint picker as a Deployment and a Service.

    Attributes:
        service: what gateways and publishers of events know it by.
        siblings: further pickers of its pool, which end with the arm.
    """

    def __init__(
        self,
        place: Place,
        chosen: Implementation,
        arm: Arm,
        configuration: dict[str, Any] | None,
        *,
        name: str = NAME,
        extra: tuple[str, ...] | None = None,
        account: str = NAME,
    ) -> None:
        """Nothing is started yet; `extra`: further arguments, those of the arm by default, `account`: who it is.

        Raises:
            NotFromOutside: no image of this picker is known, or it is to read files in a pod that takes none.
        """
        published = PICKERS.get(chosen.name)
        if published is None:
            raise NotFromOutside(f"no image of the endpoint picker {chosen.name!r} is known")
        self.implementation, self.pool, self.configuration = chosen, arm.pool, configuration
        self.version = catalogue.component(chosen.component).version
        self._place, self._arm, self._account = place, arm, account
        self._http = http()
        self.service = name
        self.siblings: list[PodPicker] = []
        image, ports = names.pulled(f"{published.repository}:{self.version}"), (GRPC, HEALTH, METRICS, EVENTS)
        env = {"NAMESPACE": place.namespace, **arm.picker_env}
        held = hands.possible(place.api)
        more, self._given = self._carried(arm.picker_flags if extra is None else extra, held)
        lacking = f"{PROGRAM}{chosen.component}" if chosen.component in OPTIONAL else ""
        file = Path(hands.SCRATCH if held else CONFIGURATION) / FILE
        options = [
            *arguments(chosen, arm.pool, place.namespace, (GRPC, HEALTH, METRICS), file, arm.verbosity), *more,
        ]  # fmt: skip
        if held:
            inside = Program(
                name, names.own(), ports, env, account=account, images={image: hands.PROGRAM}, lacking=lacking
            )  # fmt: skip
            self.child: PodChild = hands.HandChild(
                place, inside, [f"{hands.PROGRAM}{published.program}", *options], controlled=True
            )
        else:
            outright = Program(name, image, ports, env, account=account, lacking=lacking)
            self.child = PodChild(place, outright, options, controlled=True)
        self.port, self._health_port, self._metrics_port = map(self.child.reach, (GRPC, HEALTH, METRICS))

    def make(self) -> None:
        """Make its Deployment ahead of its start, where that is possible."""
        if isinstance(self.child, hands.HandChild):
            self.child.make()

    def _carried(self, options: Sequence[str], held: bool) -> tuple[list[str], dict[str, str]]:
        """Arguments as they are in a pod, and the files that those of a folder of this machine stand for, by name."""
        here, found, files = str(self._place.folder), list[str](), dict[str, str]()
        for one in options:
            if not one.startswith(here):
                found.append(one)
                continue
            if not held:
                raise NotFromOutside(
                    f"files of a picker take image volumes (Kubernetes 1.{hands.FIRST_MINOR}): {Path(one).name}"
                )
            files |= {file.name: file.read_text() for file in sorted(Path(one).iterdir())}
            found.append(hands.SCRATCH)
        return found, files

    def sibling(self, name: str, **other: Any) -> Picker:
        """Another picker of the same pool, not started.

        Raises:
            NotFromOutside: it is to have an environment or ports of its own.
        """
        settled: dict[str, Any] = {"configuration": self.configuration, "extra": (), "account": self._account} | other
        if beyond := settled.keys() - {"configuration", "extra", "account"}:
            raise NotFromOutside(f"a second picker with {', '.join(sorted(beyond))} of its own takes processes of ours")
        made = PodPicker(
            self._place, self.implementation, self._arm, settled["configuration"],
            name=name, extra=settled["extra"], account=settled["account"],
        )  # fmt: skip
        self.siblings.append(made)
        return made

    def sibling_as(self, account: str) -> Picker:
        """Another picker of the same pool, not started, that is a ServiceAccount of the arm's namespace."""
        return self.sibling(account, account=account)

    def launch(self) -> None:
        """Make its Deployment with the configuration as it is now."""
        if self.configuration is not None:
            files = {FILE: json.dumps(self.configuration, indent=1)}
            if isinstance(self.child, hands.HandChild):
                self.child.written = files | self._given
            else:
                self.child.files = files
        self.child.launch()

    @property
    def asked_at(self) -> str:
        """The address of its Service, which gateways ask."""
        found = self._place.api.get("Service", self.service, self._place.namespace) or {}
        return f"{dig(found, 'spec', 'clusterIP')}:{GRPC}"


class PodReplica(Replica):
    """A model server as a Pod of the pool."""

    def __init__(self, place: Place, arm: Arm, number: int, events: str | None, selector: Mapping[str, str]) -> None:
        """Nothing is started yet; `events`: who takes KV-cache events."""
        from gpuassay.systems.llmd.component.endpoints import ACTIVE_PORTS

        name, port = f"model-server-{number}", FIRST + number
        env = {"POD_IP": f"$(IP):{port}", "POD_NAME": name, "POD_NAMESPACE": place.namespace}
        env |= {key: value.format(address="$(IP)", port=port) for key, value in arm.simulator_env.items()}
        image = names.pulled(f"{SIMULATOR}:{catalogue.component('llmd-sim').version}")
        program = Program(
            name, image, (port,), env, labels=selector, annotations={ACTIVE_PORTS: str(port)}, gate=True
        )  # fmt: skip
        options = simulator_arguments(
            arm.model, port, arm.cache, arm.latency, events=events, number=number, extra=arm.simulator_flags
        )
        if hands.possible(place.api):
            held = replace(program, image=names.own(), images={image: hands.PROGRAM})
            child: PodChild = hands.HandChild(place, held, [f"{hands.PROGRAM}/app/llm-d-inference-sim", *options])
        else:
            child = PodChild(place, program, options)
        super().__init__(name, "", port, arm.model, child)
        self._local = child.reach(port)
        self._pods, self._joined = child, ""
        self.joins: Callable[[str], None] = lambda _: None
        """Called with its name once it serves: a pod that was made again has to be let into the pool again."""

    @property
    def url(self) -> str:
        """Base URL of its API, by the way through the API server."""
        return f"http://127.0.0.1:{self._local}"

    @property
    def topic(self) -> str:
        """Topic of its KV-cache events."""
        return f"kv@{self.endpoint}@{self.model}"

    @property
    def stand_in_address(self) -> tuple[str, int]:
        """Any free port of this machine: connections are handed on to it."""
        return "127.0.0.1", 0

    def answered_by(self, port: int) -> AbstractContextManager[None]:
        """Have a server of this machine answer at the pod's port, for the length of a `with` block.

        Raises:
            NotFromOutside: the pod has no hands: the cluster is too old for image volumes.
        """
        if not isinstance(self.child, hands.HandChild):
            raise NotFromOutside(f"a stand-in for {self.name} takes image volumes (Kubernetes 1.{hands.FIRST_MINOR})")
        return self.child.answered_by(self.port, ("127.0.0.1", port))

    def make(self) -> None:
        """Make its pod ahead of its start, where that is possible."""
        if isinstance(self.child, hands.HandChild):
            self.child.make()

    def await_ready(self) -> None:
        """Wait until it serves; its address is known then. Errors as of a process."""
        pod = self._pods.await_running()
        self.address = str(pod["status"]["podIP"])
        super().await_ready()
        if self._joined != pod["metadata"]["uid"]:
            self._joined = pod["metadata"]["uid"]
            self.joins(self.name)


class PodTokenizer(Tokenizer):
    """The tokenization service as a Pod and a Service."""

    def __init__(self, place: Place, engine: str) -> None:
        """Nothing is started yet."""
        proto = toolchain.module_dir("llmd-epp", PROTO_MODULE, place.cluster.assets) / PROTO_FOLDER / "tokenizer.proto"
        self._command = [
            hands.PYTHON, "-m", f"{SERVE}.tokenizer", "--proto-dir", CONFIGURATION, "--port", str(TOKENS),
            "--on", "0.0.0.0", "--engine", engine,
        ]  # fmt: skip
        program = Program(TOKENIZER, names.own(), (TOKENS,))
        child = hands.HandChild(place, program, self._command, files={"tokenizer.proto": proto.read_text()})
        self.child, self.port = child, child.reach(TOKENS)


class PodForwarder(Forwarder):
    """The way of KV-cache events as a Pod and a Service; its log is the tap."""

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        options = [
            hands.PYTHON, "-m", f"{SERVE}.forwarder", "--listen", str(PUBLISHED), "--on", "0.0.0.0",
            "--to", str(EVENTS),
        ]  # fmt: skip
        self.listen, self.to = PUBLISHED, EVENTS
        self.child = hands.HandChild(place, Program(FORWARDER, names.own(), (PUBLISHED,)), options)
        self.tap, self.way_in = self.child.log, self.child.reach(PUBLISHED)

    def aim(self, address: str) -> None:
        """Say at which address the picker takes events."""
        self.child.command = [*self.child.command, "--at", address]

    def events(self) -> list[dict[str, Any]]:
        """Every event message so far, oldest first."""
        if not self.tap.exists():
            return []
        whole = self.tap.read_text().rpartition("\n")[0]
        return [line for line in log_objects(whole) if "topic" in line]
