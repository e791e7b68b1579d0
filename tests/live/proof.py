"""What a component goes through on a cluster like a user's, and how long it takes: the table of docs/provisioning.md.

    python -m tests.live.proof --kills 10 --seed 1 kueue-chart device-plugin >rows.jsonl

Installed, used, asked for twice, removed; as somebody else's left alone; killed at random moments and removed. After
each of these the cluster is compared with what it was. Everything goes through the commands, from other processes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpuassay import labels, scratch
from gpuassay.cluster.base import Cluster
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from gpuassay.provision.inventory import NAMESPACE
from gpuassay.provision.objects import Objects
from gpuassay.waiting import wait
from tests.live import proof_uses as uses
from tests.live import stub_das

ROOT = Path(__file__).parents[2]
SECONDS = 400.0
GPUS = ("a100-40gb",) * 2


@dataclass(frozen=True)
class Trial:
    """A component, how it is installed, and what shows that it works.

    Attributes:
        component: its name.
        use: does with it what users do; raises where it does not work.
        words: further words of `gpuassay provision`, made with a folder for files.
        needs: programs, by component of the toolchain.
        around: what stands in for something while it is tried, and goes with it.
    """

    component: str
    use: Callable[[Cluster], None]
    words: Callable[[Path], Sequence[str]] = lambda _: ()
    needs: Sequence[str] = ()
    around: Callable[[Cluster], AbstractContextManager[None]] = lambda _: nullcontext()


TRIALS = {
    "kueue-chart": Trial("kueue", uses.a_job_is_admitted, needs=("kueue",)),
    "kueue-manifests": Trial("kueue", uses.a_job_is_admitted, uses.kueue_manifests, ("kueue", "kustomize")),
    "device-plugin": Trial("device-plugin", uses.a_pod_has_a_gpu, needs=("nvidia-device-plugin",)),
    "dra-driver": Trial("dra-driver", uses.a_claim_has_a_gpu, needs=("nvidia-dra",)),
    "llmd": Trial("llmd", uses.a_completion_comes, needs=("llmd-epp", "llmd-sim")),
    "jobset": Trial("jobset", uses.a_jobset_ends, needs=("jobset",)),
    "lws": Trial("lws", uses.a_group_is_ready, needs=("lws",)),
    "das-stub": Trial(
        "das",
        uses.a_pod_goes_to_das,
        lambda at: ("--source", f"das={stub_das.manifests(at)}"),
        around=stub_das.around,
    ),
}


@dataclass
class Row:
    """What came of a trial; seconds each.

    Attributes:
        trial: its name.
        install, use, again, remove: of the way that goes well.
        left: what upstream's own uninstall left behind.
        killed: moments at which installations were killed, counted from their start.
        mended: how long `gpuassay remove` took after each.
    """

    trial: str
    install: float = 0
    use: float = 0
    again: float = 0
    remove: float = 0
    left: list[str] = field(default_factory=list[str])
    killed: list[float] = field(default_factory=list[float])
    mended: list[float] = field(default_factory=list[float])


@contextmanager
def like_a_users(kubernetes: str | None = None) -> Generator[Cluster]:
    """Two nodes with two fake GPUs each, and another tenant's objects; `kubernetes`: an older version is imitated."""
    with (
        scratch.scratch("proof") as folder,
        like_yours(directory=folder / "cluster", gpus=GPUS, emulated_version=kubernetes) as up,
    ):
        up.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}})
        meta = {"name": "theirs", "namespace": "tenant"}
        up.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}})
        yield up


def command(cluster: Cluster, *words: str) -> list[str]:
    """Of a user, on this cluster."""
    return [sys.executable, "-m", "gpuassay", *words, "--kubeconfig", str(cluster.kubeconfig)]


def environment(cluster: Cluster) -> dict[str, str]:
    """Of commands: temporary files lie in a folder of this proof, for others may run on this machine."""
    folder = cluster.directory / "tmp"
    folder.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(folder)}


def call(cluster: Cluster, *words: str, code: int = 0) -> str:
    """Run a command as a user does; what it printed."""
    done = subprocess.run(
        command(cluster, *words), capture_output=True, text=True, cwd=ROOT, env=environment(cluster), timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def everything(cluster: Cluster) -> dict[tuple[str, str, str, str], Manifest]:
    """All objects but those that come and go by themselves."""
    snapshot = Objects(cluster.api).snapshot()
    return {key: one for key, one in snapshot.items() if key[1] not in ("Pod", "ReplicaSet")}


def files_of_commands(cluster: Cluster) -> set[str]:
    """Folders of commands; what stands in them must not outlive these for long."""
    return {one.name for one in Path(environment(cluster)["TMPDIR"]).glob("gpuassay-provision-*")}


def prove(cluster: Cluster, name: str, folder: Path, *, kills: int, seed: int, until: float = math.inf) -> Row:
    """All of it for one trial; no kill begins after `until`, a moment of the monotonic clock.

    Raises:
        AssertionError: something is not as it has to be.
    """
    with TRIALS[name].around(cluster):
        return _prove(cluster, name, folder, kills=kills, seed=seed, until=until)


def _prove(cluster: Cluster, name: str, folder: Path, *, kills: int, seed: int, until: float) -> Row:
    trial = TRIALS[name]
    words = ("provision", trial.component, *trial.words(folder))
    before, row = everything(cluster), Row(name)
    _goes_well(cluster, trial, words, row)
    _same(cluster, before, "after its removal")
    _as_somebody_elses(cluster, trial, words)
    _same(cluster, before, "after somebody else's was removed")
    chance = random.Random(f"{seed} {name}")
    for _ in range(kills):
        if time.monotonic() > until:
            break
        print(f"{name}: {json.dumps(asdict(row))}", file=sys.stderr, flush=True)
        _killed(cluster, trial, words, chance.uniform(0, row.install), row)
        _same(cluster, before, f"after a kill at {row.killed[-1]:.2f} s")
    return row


def _same(cluster: Cluster, before: dict[tuple[str, str, str, str], Manifest], when: str) -> None:
    now = everything(cluster)
    different = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    assert not different, f"{when} is not as before: {different}"


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return round(time.monotonic() - began, 1)


def _goes_well(cluster: Cluster, trial: Trial, words: Sequence[str], row: Row) -> None:
    row.install = _timed(lambda: call(cluster, *words))
    installed = everything(cluster)
    row.use = _timed(lambda: trial.use(cluster))
    wait(lambda: everything(cluster), lambda now: now == installed, what="what was used to go", timeout=60, delay=1)
    row.again = _timed(lambda: _used_as_it_is(cluster, words, "ours"))
    _same(cluster, installed, "what is ours, asked for again,")
    began = time.monotonic()
    said = call(cluster, "remove", trial.component)
    row.remove = round(time.monotonic() - began, 1)
    assert "the cluster is as before" in said, said
    marker = f"{trial.component}: its own uninstall left "
    row.left = [line.removeprefix(marker) for line in said.splitlines() if line.startswith(marker)]


def _used_as_it_is(cluster: Cluster, words: Sequence[str], whose: str) -> None:
    assert f"used as it is, {whose}" in (said := call(cluster, *words)), said


def disown(cluster: Cluster, component: str) -> Manifest:
    """Take off all that says that a component is ours; what was noted of it, to be created again."""
    noted = cluster.api.get("ConfigMap", component, NAMESPACE)
    assert noted is not None
    del noted["metadata"]["resourceVersion"]
    cluster.api.delete("ConfigMap", component, NAMESPACE)
    objects = Objects(cluster.api)
    bare = {"metadata": {"labels": {labels.RUN: None, labels.COMPONENT: None}}}
    for ref in objects.labelled(labels.RUN):
        if (ref.kind, ref.name) != ("Namespace", NAMESPACE):
            objects.patch(ref, bare)
    return noted


def _as_somebody_elses(cluster: Cluster, trial: Trial, words: Sequence[str]) -> None:
    """Installed by us, and then without anything that says so, as if another had done it."""
    call(cluster, *words)
    noted = disown(cluster, trial.component)
    installed = everything(cluster)
    _used_as_it_is(cluster, words, "somebody else's")
    assert "is not replaced" in call(cluster, *words, "--reinstall", code=2)
    assert "was not installed by gpuassay" in call(cluster, "remove", trial.component, code=2)
    _same(cluster, installed, "somebody else's")
    cluster.api.create(noted)
    assert "the cluster is as before" in call(cluster, "remove", trial.component)


def _killed(cluster: Cluster, trial: Trial, words: Sequence[str], moment: float, row: Row) -> None:
    """Killed at a moment, and removed by what stands on the cluster; what its files held is gone with the next call."""
    old = files_of_commands(cluster)
    begun = subprocess.Popen(
        command(cluster, *words), cwd=ROOT, env=environment(cluster), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        begun.wait(moment)  # the moment is what is tried, nothing is waited for
    except subprocess.TimeoutExpired:
        begun.kill()
        begun.wait()
    row.killed.append(round(moment, 2))

    def mend() -> None:
        if "nothing here is ours" not in call(cluster, "remove"):
            said = call(cluster, "remove", trial.component)
            assert "the cluster is as before" in said, said

    row.mended.append(_timed(mend))
    left = files_of_commands(cluster) - old
    assert not left, f"files of killed commands stay: {left}"


def table(rows: Sequence[Row]) -> str:
    """As in docs/provisioning.md."""
    lines = [
        "| what | installed and works | used | asked for again | removed | killed, then removed | left by upstream |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in rows:
        mended = f"{len(one.mended)} times, {statistics.median(one.mended):.0f} s" if one.mended else "not tried"
        mended += f" (longest {max(one.mended):.0f} s)" if one.mended else ""
        left = f"{len(one.left)} objects" if one.left else "nothing"
        lines.append(
            f"| {one.trial} | {one.install:.0f} s | {one.use:.0f} s | {one.again:.0f} s | {one.remove:.0f} s "
            f"| {mended} | {left} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print a row for each trial, and the table last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], help="default: all")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further kill begins after so many")
    parser.add_argument("--kubernetes", metavar="1.N", help="an older version whose API is imitated")
    options = parser.parse_args()
    rows: list[Row] = []
    until = time.monotonic() + 60 * options.minutes
    with like_a_users(options.kubernetes) as cluster, tempfile.TemporaryDirectory() as folder:
        for name in options.trials or TRIALS:
            rows.append(prove(cluster, name, Path(folder), kills=options.kills, seed=options.seed, until=until))
            print(json.dumps(asdict(rows[-1])), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
