"""The real node under everything else of this suite: what a kubelet must do, it does here.

Kubelet, containerd, runc and the network plugins are upstream's own; the containers really run.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuassay import MUST, Inconclusive, Lab, Measure, Note, WaitTimeout, behaviour, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.judge import nodes
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.workloads import containers

SPEC = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"
PROBES = f"{SPEC}#container-probes"
EXIT = 7
SLOW = 2.0
"""Seconds after which the slow pod begins to serve."""
PORT = 8080
SERVES = (("serve", PORT), ("wait",))
SECOND = "second-node"
READY_SECONDS = 5.0
"""From nothing to Ready, namespaces, containerd and images included: what cloud providers need minutes for."""
CROWDED = 0.2
"""Share of the time in which somebody waited for a CPU, above which a late node says nothing about the node."""


LOG = Note("log", notes.Told, "what `kubectl logs` told")
ANSWER = Note("answer", str, "the server's environment, by HTTP; none where it did not answer", default=None)
ENTERED = Note("entered", notes.Told, "what a command in the container told")
BEFORE = Note("before", dict[str, list[str]], "what the pod has on the node")
AFTER = Note("after", dict[str, list[str]], "what is left of it")
STARTED = Note("started", dict[str, float], "s that the steps of the second node's start took", default=None)
LATE = Note("late", str, "what the second node was waited for in vain", default=None)
ANSWERS = Note("answers", dict[str, str | None], "what the pod on each node answers")


@scenario(system="slices", needs=["program:kubectl"], timeout=40)
def one_pod_ends(lab: Lab) -> None:
    """A pod prints a line, prints its environment and ends with a code of its own; its log is read afterwards."""
    environment = [{"name": "ASSAY_MARK", "value": lab.token}]
    steps = (("print", f"hello {lab.token}"), ("env", "ASSAY_"), ("exit", EXIT))
    slices.pod(lab, "ends", *steps, env=environment)
    lab.observe(lambda: slices.ended(lab, "ends"), "ends has ended")
    lab.note(LOG, slices.kubectl(lab, "logs", "ends"))


@behaviour(
    "slices.node.exit-code", level=MUST, spec=SPEC,
    red_when="a container's exit code is lost or replaced", mutant="exit-code-lost",
)  # fmt: skip
def test_the_exit_code_of_a_container_is_told(one_pod_ends: SlicesRecording) -> None:
    """A container that exits with 7 makes a failed pod whose status says 7."""
    pod = nodes.last_seen(one_pod_ends, "ends")
    seen = (pod["status"]["phase"], nodes.exit_codes(one_pod_ends, "ends"))
    assert seen == ("Failed", {"main": EXIT}), one_pod_ends.timeline_text()


@behaviour(
    "slices.node.logs", level=MUST, spec="https://kubernetes.io/docs/concepts/cluster-administration/logging/",
    red_when="a line that a container printed is missing from its log, or the log cannot be read", mutant="output-lost",
)  # fmt: skip
def test_the_log_of_a_container_can_be_read(one_pod_ends: SlicesRecording) -> None:
    """`kubectl logs` gives what the container printed, in order, also after its end."""
    wanted = f"hello {one_pod_ends.token}\nASSAY_MARK={one_pod_ends.token}\n"
    assert one_pod_ends.note(LOG) == notes.Told(0, wanted, "")


@scenario(system="slices", needs=["program:kubectl"], timeout=60)
def a_server(lab: Lab) -> None:
    """A pod with both probes serves after two seconds; it gets a request and an exec, and is made unhealthy."""
    slices.pod(
        lab, "server", ("sleep", f"{SLOW}s"), ("serve", PORT), ("wait",),
        restart="Always",
        env=[{"name": "ASSAY_MARK", "value": lab.token}],
        readinessProbe=containers.probe("/ready", PORT, failures=3),
        livenessProbe={**containers.probe("/health", PORT), "initialDelaySeconds": int(SLOW) + 2},
    )  # fmt: skip
    if lab.observe(lambda: slices.ready(lab, "server"), "server is ready"):
        lab.observe(lambda: slices.ask(lab, "server") is not None, "server answers", timeout=10)
    lab.note(ANSWER, slices.ask(lab, "server", "/env?prefix=ASSAY_"))
    lab.note(ENTERED, slices.kubectl(lab, "exec", "server", "--", "/workload", "env", "ASSAY_"))
    slices.ask(lab, "server", "/break")
    lab.observe(lambda: slices.restarts(lab, "server") > 0, "server was restarted")


@behaviour(
    "slices.node.readiness", level=MUST, spec=PROBES, timed=True,
    red_when="a pod counts as ready before its readiness probe succeeds", mutant="probes-lost",
)  # fmt: skip
def test_a_pod_is_ready_when_its_probe_says_so(a_server: SlicesRecording) -> None:
    """A pod whose server starts two seconds after its container is not Ready before that."""
    after = nodes.ready_after(a_server, "server")
    assert after is not None, a_server.timeline_text()
    assert after >= SLOW - 0.5, f"ready {after:.2f} s after its start, but it serves from {SLOW} s on"


@behaviour(
    "slices.node.liveness", level=MUST, spec=PROBES,
    red_when="an unhealthy container is left running", mutant="probes-lost",
)  # fmt: skip
def test_an_unhealthy_container_is_restarted(a_server: SlicesRecording) -> None:
    """A container whose liveness probe fails is restarted."""
    assert a_server.observed("server was restarted"), a_server.timeline_text()


@behaviour(
    "slices.node.address", level=MUST, spec="https://kubernetes.io/docs/concepts/cluster-administration/networking/",
    red_when="a pod does not answer at the podIP of its status", mutant="wrong-port",
)  # fmt: skip
def test_a_pod_answers_at_its_address(a_server: SlicesRecording) -> None:
    """The pod answers an HTTP request from outside the node at the podIP of its status."""
    assert a_server.note(ANSWER) == f"ASSAY_MARK={a_server.token}\n"


@behaviour(
    "slices.node.exec", level=MUST, spec="https://kubernetes.io/docs/tasks/debug/debug-application/get-shell-running-container/",
    red_when="a command cannot be run in a container, or sees another environment", mutant="environment-lost",
)  # fmt: skip
def test_a_command_runs_in_a_container(a_server: SlicesRecording) -> None:
    """`kubectl exec` runs a program in the container, which sees the container's environment."""
    wanted = notes.Told(0, f"ASSAY_MARK={a_server.token}\n", "")
    assert a_server.note(ENTERED) == wanted


@scenario(system="slices", timeout=60)
def a_pod_is_deleted(lab: Lab) -> None:
    """A running pod is deleted; its cgroups, its address and its processes are looked for before and after."""
    node = slices.node_of(lab)
    slices.pod(lab, "victim", ("print", lab.token), ("wait",), env=[{"name": "ASSAY_MARK", "value": lab.token}])
    lab.until(lambda: slices.running(lab, "victim"), "victim is running")
    uid = (lab.get("Pod", "victim") or {})["metadata"]["uid"]
    where = slices.address(lab, "victim")

    def held() -> dict[str, list[str]]:
        return {
            "cgroups": slices.cgroups_of(node, uid),
            "addresses": [one for one in slices.addresses_in_use(node) if one == where],
            "processes": slices.processes_in(node, lab.token),
        }

    lab.until(lambda: all(held().values()), "victim has processes, cgroups and an address")
    lab.note(BEFORE, held())
    lab.delete("Pod", "victim")
    lab.observe(lambda: slices.gone(lab, "victim"), "victim is gone", timeout=15)
    lab.observe(lambda: not any(held().values()), "nothing of victim is left", timeout=5)
    lab.note(AFTER, held())


@behaviour(
    "slices.node.deletion-frees", level=MUST, spec=f"{SPEC}#pod-termination", timed=True,
    red_when="a deleted pod leaves a process, a cgroup or an address", mutant="termination-ignored",
)  # fmt: skip
def test_a_deleted_pod_leaves_nothing_on_the_node(a_pod_is_deleted: SlicesRecording) -> None:
    """A deleted pod is gone within its grace period, and so are its processes, its cgroups and its address."""
    before, after = a_pod_is_deleted.note(BEFORE), a_pod_is_deleted.note(AFTER)
    assert all(before.values()), f"looked in the wrong places: {before}"
    assert not any(after.values()), f"left: {after}\n{a_pod_is_deleted.timeline_text()}"
    assert a_pod_is_deleted.observed("victim is gone"), a_pod_is_deleted.timeline_text()


def _restarted(lab: Lab, restart: Callable[..., None]) -> None:
    """Two pods run on a node of their own when something on it is restarted; afterwards one more is run to its end."""
    with slices.further_node(lab, f"n-{lab.token}") as node:
        names = [slices.pod(lab, name, *SERVES, node=node.name, restart="Always") for name in ("one", "two")]
        lab.until(lambda: slices.ready(lab, *names), "both ready")
        lab.mark("restart")
        restart(lab, kill=True, node=node.name)
        slices.pod(lab, "later", ("exit", 0), node=node.name)
        lab.observe(lambda: slices.ended(lab, "later"), "later has ended")
        lab.observe(lambda: slices.ready(lab, *names), "both are ready again")
        lab.mark("seen")
        for name in (*names, "later"):
            lab.delete("Pod", name)
        lab.observe(lambda: slices.gone(lab, *names, "later"), "all are gone")


def _replaced(recording: SlicesRecording) -> list[str]:
    return nodes.changed_containers(recording, recording.mark("restart"), ["one", "two"], until=recording.mark("seen"))


@scenario(system="slices", timeout=60)
def kubelet_restarted(lab: Lab) -> None:
    """The kubelet is killed and started while two pods run; afterwards one more is run to its end."""
    _restarted(lab, slices.restart_kubelet)


@behaviour(
    "slices.node.kubelet-restart", level=MUST, spec="https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/",
    red_when="a restart of the kubelet replaces or ends running containers", mutant="containers-end-while-away",
)  # fmt: skip
def test_pods_outlive_a_kubelet_that_is_killed(kubelet_restarted: SlicesRecording) -> None:
    """After kill -9 and restart of the kubelet the same containers run, and a new pod runs to its end."""
    assert _replaced(kubelet_restarted) == [], kubelet_restarted.timeline_text()
    assert kubelet_restarted.observed("later has ended"), kubelet_restarted.timeline_text()


@scenario(system="slices", timeout=60)
def containerd_restarted(lab: Lab) -> None:
    """Containerd is killed and started while two pods run; afterwards one more is run to its end."""
    _restarted(lab, slices.restart_containerd)


@behaviour(
    "slices.node.runtime-restart", level=MUST, spec="https://github.com/containerd/containerd/blob/main/docs/ops.md",
    red_when="a restart of containerd replaces or ends running containers", mutant="containers-end-while-away",
)  # fmt: skip
def test_pods_outlive_a_containerd_that_is_killed(containerd_restarted: SlicesRecording) -> None:
    """After kill -9 and restart of containerd the same containers run, and a new pod runs to its end."""
    assert _replaced(containerd_restarted) == [], containerd_restarted.timeline_text()
    assert containerd_restarted.observed("later has ended"), containerd_restarted.timeline_text()


@scenario(system="slices", alone="cluster", timeout=120)
def second_node(lab: Lab) -> None:
    """A second node starts and a pod on each node gets a request; then the new node reboots as by a power failure."""
    try:
        with slices.further_node(lab, SECOND, patience=20) as node:
            lab.note(STARTED, node.started)
            for name, where in (("here", slices.NODE), ("there", SECOND)):
                slices.pod(lab, name, *SERVES, node=where, restart="Always")
            if lab.observe(lambda: slices.ready(lab, "here", "there"), "both ready"):
                lab.observe(lambda: all(slices.ask(lab, name) for name in ("here", "there")), "both answer", timeout=10)
            lab.note(ANSWERS, {name: slices.ask(lab, name) for name in ("here", "there")})
            lab.mark("reboot")
            node.reboot()
            lab.observe(lambda: slices.restarts(lab, "there") > 0 and slices.ready(lab, "there"), "there is back")
            lab.delete("Pod", "there")
            lab.observe(lambda: slices.gone(lab, "there"), "there is gone", timeout=15)
    except WaitTimeout as late:
        lab.note(LATE, str(late))


def _steps(recording: SlicesRecording) -> dict[str, float]:
    """What the steps of the second node's start took, in s; AssertionError where it did not come up."""
    started = recording.note(STARTED)
    assert started is not None, recording.note(LATE)
    return started


@behaviour(
    "slices.node.ready", level=MUST, spec="https://kubernetes.io/docs/reference/node/node-status/", timed=True,
    red_when="a new node is not Ready, or takes more than 5 s", mutant="node-unregistered",
)  # fmt: skip
def test_a_node_is_ready_within_seconds(second_node: SlicesRecording, measure: Measure) -> None:
    """A new node is Ready within 5 s of its start."""
    seconds = _steps(second_node)["ready"]
    measure.value(ready_s=seconds)
    measure.threshold(READY_SECONDS)
    crowding = second_node.meta.pressure.get("cpu_stall_share") or 0.0
    if seconds > READY_SECONDS and crowding > CROWDED:
        raise Inconclusive(f"Ready after {seconds:.1f} s, while somebody waited for a CPU {crowding:.0%} of the time")
    assert seconds <= READY_SECONDS


@behaviour(
    "slices.node.two-nodes", level=MUST, spec="https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/",
    red_when="pods of two nodes share a subnet or a node, or one does not answer", mutant="node-choice-lost",
    timed=True,
)  # fmt: skip
def test_two_nodes_of_one_machine_are_two_nodes(second_node: SlicesRecording) -> None:
    """Each pod runs on the node that its spec names, has an address of that node's own subnet, and answers."""
    _steps(second_node)
    assert second_node.observed("both ready"), second_node.timeline_text()
    pods = {name: nodes.first_ready(second_node, name) for name in ("here", "there")}
    assert {name: pod["spec"]["nodeName"] for name, pod in pods.items()} == {"here": slices.NODE, "there": SECOND}
    subnets = {pod["status"]["podIP"].rsplit(".", 1)[0] for pod in pods.values()}
    assert len(subnets) == 2, subnets
    assert second_node.note(ANSWERS) == {"here": "ok\n", "there": "ok\n"}


@behaviour(
    "slices.node.reboot", level=MUST, spec=f"{SPEC}#restart-policy", timed=True,
    red_when="a pod does not run again after its node's reboot, or another node's pod is disturbed",
    mutant="restart-policy-lost",
)  # fmt: skip
def test_pods_come_back_after_a_reboot(second_node: SlicesRecording) -> None:
    """After a reboot a pod with restartPolicy Always runs in a new container; the other node's pod is undisturbed."""
    _steps(second_node)
    assert second_node.observed("there is back"), second_node.timeline_text()
    mark = second_node.mark("reboot")
    assert nodes.changed_containers(second_node, mark, ["there"]), second_node.timeline_text()
    assert not nodes.changed_containers(second_node, mark, ["here"]), second_node.timeline_text()
