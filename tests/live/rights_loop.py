"""Runs on a cluster like a user's under the rights that `gpuassay role` prints, and with each of these taken away.

    python -m tests.live.rights_loop rows.jsonl kueue --seed 1 --seconds 200     # root; again for what is left

A sample of behaviours is judged by a ServiceAccount that has exactly the printed role: what is judged must hold. Then
every right (a verb on a resource) is taken away in turn. Rows of runs that were made are kept in the file, and are not
made again; `--table` prints them.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from gpuassay import scratch
from gpuassay.cluster import leaks
from gpuassay.cluster.access_review import Right
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.kubeconfig import server_of
from gpuassay.discovery.role import RBAC
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from gpuassay.session.declared import Declared, everything
from tests.live.proof import call, disown
from tests.live.rights_rows import Row, table

ROOT = Path(__file__).parents[2]
PLACE = "team"
LIMIT = 400.0
"""Seconds for one run: what takes longer hangs."""


@dataclass(frozen=True)
class Sample:
    """What is judged of a system, and what an administrator has put onto the cluster for it.

    Attributes:
        systems: for `gpuassay role`.
        components: provisioned beforehand.
        files: of tests, from which is drawn.
        needs: capabilities that a behaviour may need.
        size: how many behaviours are drawn.
        words: further options of pytest.
    """

    systems: Sequence[str]
    components: Sequence[str]
    files: Sequence[str]
    needs: frozenset[str]
    size: int
    words: Sequence[str] = ()

    def able(self, declared: Sequence[Declared]) -> list[Declared]:
        """Behaviours that can be drawn."""
        return [
            one
            for one in declared
            if not one.measured and one.needs <= self.needs and any(one.test.startswith(file) for file in self.files)
        ]

    def drawn(self, declared: Sequence[Declared], seed: int) -> list[str]:
        """Node ids of tests."""
        able = [one.test for one in self.able(declared)]
        return random.Random(seed).sample(able, min(self.size, len(able)))


QUICK = [f"suites/kueue/test_{name}.py" for name in ("ordering", "priority", "cohorts", "quota", "stop", "webhooks")]
"""Those in which nothing is waited for on purpose."""

SAMPLES = {
    "kueue": Sample(("kueue",), ("kueue",), QUICK, frozenset({"kueue"}), 25),
    "slices": Sample(
        ("slices",),
        ("device-plugin",),
        ("suites/slices/",),
        frozenset({"slices", "program:nvidia-device-plugin"}),
        10,
    ),
    "routing": Sample(
        ("routing",),
        ("llmd",),
        ("suites/llmd/test_scheduling", "suites/llmd/test_gateway.py", "suites/llmd/test_epp_"),
        frozenset({"routing", "own-arms"}),
        10,
        ("--llmd", "install"),
    ),
}


def rights_of(rules: Sequence[Manifest]) -> list[Right]:
    """Every verb on every resource, or path, of a role."""
    return sorted(
        Right(group, resource, verb)
        for rule in rules
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs", []))
        for verb in rule["verbs"]
    )


def without(rules: Sequence[Manifest], right: Right | None) -> list[Manifest]:
    """The role's rules, a rule for each resource, less one right."""
    left: dict[tuple[str, str], list[str]] = {}
    for one in rights_of(rules):
        if one != right:
            left.setdefault((one.group, one.resource), []).append(one.verb)
    return [
        ({"nonResourceURLs": [plural]} if plural.startswith("/") else {"apiGroups": [group], "resources": [plural]})
        | {"verbs": verbs}
        for (group, plural), verbs in left.items()
    ]


def printed_role(systems: Sequence[str]) -> list[Manifest]:
    """The rules that `gpuassay role` prints."""
    command = [sys.executable, "-m", "gpuassay", "role", *systems]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return yaml.safe_load(done.stdout)["rules"]


@contextmanager
def account(cluster: Cluster, name: str, rules: Sequence[Manifest], folder: Path) -> Generator[Path]:
    """The kubeconfig of a ServiceAccount that has these rules, for the length of a `with` block."""
    api = cluster.api
    objects: list[Manifest] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": PLACE}},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)},
        {
            "apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": PLACE}],
        },
    ]  # fmt: skip
    for one in objects:
        api.apply(one)
    try:
        asked: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{PLACE}/serviceaccounts/{name}/token"
        token = json.loads(api.request("post", path, asked))["status"]["token"]
        loaded = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        server = {key: value for key, value in loaded.items() if key.startswith("certificate")}
        kubeconfig = folder / f"kubeconfig-{name}"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server_of(cluster.kubeconfig)} | server}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))  # fmt: skip
        yield kubeconfig
    finally:
        for one in reversed(objects):
            api.delete(one["kind"], name, PLACE if one["kind"] == "ServiceAccount" else None)


def run_as(
    cluster: Cluster, sample: Sample, tests: Sequence[str], rules: Sequence[Manifest], right: Right | None
) -> Row:
    """One run of `tests` by an account that lacks `right`; what it leaves is removed by the administrator."""
    name = "it-lacks-" + "-".join(str(right or "nothing").replace("/", "-").split())
    with (
        scratch.scratch("rights") as folder,
        account(cluster, name.replace(".", "-"), without(rules, right), folder) as kubeconfig,
    ):
        command = [
            sys.executable, "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider", "--no-recorded", "--cluster",
            "existing", "--gpuassay-kubeconfig", str(kubeconfig), "--run-dir", str(folder / "runs"), *sample.words,
        ]  # fmt: skip
        began = time.monotonic()
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
            code, said = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as hung:
            code, said = None, (hung.stdout or b"").decode(errors="replace")
        seconds = round(time.monotonic() - began, 1)
        verdicts, facts = read_run(folder / "runs")
        left = leaks.sweep(cluster.api, str(facts["run_id"])) if facts else []
        return Row(
            system=sample.systems[0], right=str(right or ""), code=code, seconds=seconds, said=_end(said),
            states={one["behaviour"]: one["state"] for one in verdicts},
            reasons=sorted({one["reason"].splitlines()[0] for one in verdicts if one.get("reason")}),
            told=facts.get("discovered", {}).get("missing_rights") or [], left=left,
        )  # fmt: skip


def _end(said: str) -> list[str]:
    """The last lines, without what pytest draws."""
    return [line for line in said.splitlines() if line.strip()][-12:]


def read_run(folder: Path) -> tuple[list[Manifest], Mapping[str, Any]]:
    """Verdicts and `run.json` of the one run in a folder of runs; nothing where it could not begin."""
    run = next((one.parent for one in folder.glob("*/run.json")), folder)
    lines, facts = run / "verdicts.jsonl", run / "run.json"
    verdicts = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    return verdicts, json.loads(facts.read_text()) if facts.exists() else {}


@contextmanager
def cluster_for(sample: Sample) -> Generator[Cluster]:
    """A cluster like a user's, of one node with two cut GPUs, and on it what the sample needs."""
    with (
        scratch.scratch("abroad") as folder,
        like_yours(directory=folder / "cluster", nodes=1, gpus=("a100-40gb",) * 2, mig=("all-balanced",)) as cluster,
    ):
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
        call(cluster, "provision", *sample.components)
        for one in sample.components:
            disown(cluster, one)  # runs side by side do not change what is somebody's
        yield cluster


def main() -> int:
    """Make the runs that are left, as far as the time allows; 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("system", choices=SAMPLES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loop", type=int, default=8, help="behaviours in runs that lack a right")
    parser.add_argument("--seconds", type=float, default=200.0, help="begin no run after that")
    parser.add_argument("--beside", type=int, default=3, help="runs at a time")
    parser.add_argument("--only", help="rights whose words hold this")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    rows = [Row(**json.loads(line)) for line in options.rows.read_text().splitlines()] if options.rows.exists() else []
    if not options.table:
        rows += _runs(options, rows)
    print(table(rows))
    return 1 if any(one.problem for one in rows) else 0


def _runs(options: argparse.Namespace, known: Sequence[Row]) -> list[Row]:
    sample = SAMPLES[options.system]
    rules = printed_role(sample.systems)
    tests = sample.drawn(everything(), options.seed)
    made = {one.right for one in known if one.system == sample.systems[0]}
    rights = [one for one in rights_of(rules) if str(one) not in made and (options.only or "") in str(one)]
    random.Random(options.seed).shuffle(rights)  # what a first call has time for is a sample, too
    wanted: list[Right | None] = [*([] if "" in made else [None]), *rights]
    found: list[Row] = []
    with options.rows.open("a") as file, cluster_for(sample) as cluster, ThreadPoolExecutor(options.beside) as pool:
        began = time.monotonic()

        def one(right: Right | None) -> Row | None:
            if time.monotonic() - began > options.seconds:
                return None
            return run_as(cluster, sample, tests[: options.loop] if right else tests, rules, right)

        for done in as_completed([pool.submit(one, right) for right in wanted]):
            if row := done.result():
                found.append(row)
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()
                print(f"{row.right or 'the whole role'}: {row.seconds} s, {row.summary}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
