"""A run directory made in code: enough to draw every part of the report, with numbers that are nobody's results."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.verdict import State, Verdict

Json = dict[str, Any]

FEATURES = ("order", "quota", "preemption", "cohort", "lifecycle", "webhook")


def verdict(name: str = "kueue.order.burst", state: State = State.PASS, **changes: Any) -> Verdict:
    """One verdict; `changes` replaces fields."""
    suite, feature, last = name.split(".", 2)
    fields: Json = {
        "behaviour": name,
        "test": f"suites/{suite}/test_{feature}.py::test_{last.replace('-', '_')}",
        "suite": suite,
        "feature": feature,
        "title": f"A {last.replace('-', ' ')} does what the {feature} rule says",
        "level": "MUST",
        "spec": "https://kueue.example/docs/concepts/cluster_queue/#queueing-strategy",
        "red_when": "the heap orders by anything but priority, creation second and UID",
        "mutant": "",
        "state": state.value,
    }
    return Verdict(**(fields | changes))


def run_json(**changes: Any) -> Json:
    """A whole run.json; `changes` replaces keys."""
    whole: Json = {
        "format": 1,
        "run_id": "2026-01-02T03-04-05-abcd",
        "mode": "live",
        "replay_of": None,
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "2026-01-02T03:08:17+00:00",
        "command": ["python", "-m", "pytest", "suites", "-m", "not scale"],
        "cluster": {
            "provider": "embedded",
            "kubernetes": "v1.36.3",
            "description": "etcd, kube-apiserver, controller-manager and scheduler as processes on this machine",
        },
        "components": [
            {"name": "kueue", "version": "v0.19.2", "source": "built from its Go module", "sha256": "ab" * 32},
            {"name": "etcd", "version": "v3.6.8", "source": "built from its Go module", "sha256": "cd" * 32},
        ],
        "machine": {
            "cpus": 2,
            "memory_bytes": 8 * 2**30,
            "cpu_model": "Example CPU",
            "kernel": "6.1",
            "fingerprint": "f",
        },
        "emulated": [
            {
                "what": "GPU nodes",
                "by": "KWOK",
                "means": "No GPU exists. Quota and order are Kueue's own; nothing is computed.",
            },
            {
                "what": "run time of jobs",
                "by": "pod annotations",
                "means": "Jobs end after a seeded time, so speed of training says nothing.",
            },
        ],
        "capabilities": ["kueue", "jobset"],
        "mutant": None,
    }
    return whole | changes


def write_run(
    folder: Path,
    verdicts: Iterable[Verdict],
    *,
    run: Json | None = None,
    exhibits: Iterable[Json] = (),
    seconds: float | None = 0.125,
) -> Path:
    """Write a run directory into `folder` and return it; no durations.jsonl when `seconds` is None."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run or run_json()))
    listed = list(verdicts)
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(v.to_json()) + "\n" for v in listed))
    if seconds is not None:
        lines = [json.dumps({"test": v.test, "seconds": seconds}) for v in listed]
        (folder / "durations.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "exhibits").mkdir(exist_ok=True)
    for exhibit in exhibits:
        (folder / "exhibits" / f"{exhibit['id']}.json").write_text(json.dumps(exhibit))
    return folder


def write_recording(folder: Path, name: str, **changes: Any) -> None:
    """Add the head of a recording to the run directory `folder`."""
    head: Manifest = {
        "format": 1,
        "scenario": name,
        "profile": "default",
        "started_ns": 1_767_323_045_000_000_000,
        "ended_ns": 1_767_323_049_250_000_000,
        "outcome": "ok",
        "error": None,
        "notes": {},
        "gaps": [],
        "pressure": 0.031,
    }
    path = folder / "recordings" / name
    path.mkdir(parents=True)
    (path / "recording.json").write_text(json.dumps(head | changes))


def six_states() -> list[Verdict]:
    """Seven behaviours in all six states; two skips share a reason."""
    order = "expected: job-a, job-c, job-b\nseen:     job-a, job-b, job-c\n"
    timeline = f"{order}\n+0.000 s  job-a  Pending\n+0.412 s  job-a  QuotaReserved"
    return [
        verdict("kueue.order.burst", State.PASS, measured={"admissions": 20}),
        verdict(
            "kueue.order.priority",
            State.FAIL,
            reason=timeline,
            measured={"inversions": 3, "share": 0.15},
            interval=[1.02, 1.41],
            threshold=1.0,
            recordings=["burst"],
            mutant="swap-strategy",
        ),
        verdict(
            "kueue.preemption.victims", State.ERROR, reason="scenario broke: kueue exited with code 2", level="SHOULD"
        ),
        verdict("kueue.perf.makespan", State.INCONCLUSIVE, reason="interval 0.91 to 1.20 holds 1", level="INFO"),
        verdict(
            "kueue.cohort.cycle",
            State.KNOWN_DEFECT,
            reason="stays inactive after the cycle is gone",
            link="https://issues.example/kueue/1",
        ),
        verdict("kueue.quota.dra", State.SKIP, reason="needs real-kubelet", level="MAY"),
        verdict("kueue.quota.mig", State.SKIP, reason="needs real-kubelet"),
    ]


def many(count: int = 150, seed: int = 3) -> list[Verdict]:
    """`count` behaviours of mixed states."""
    dice = random.Random(seed)
    states = [*State]
    found: list[Verdict] = []
    for index in range(count):
        state = dice.choices(states, weights=[80, 3, 2, 9, 3, 3, 3, 3, 3])[0]
        name = f"kueue.{FEATURES[index % len(FEATURES)]}.case-{index:03d}"
        reason = (
            "" if state is State.PASS else f"needs capability {index % 3}" if state is State.SKIP else f"case {index}"
        )
        found.append(verdict(name, state, reason=reason, level=dice.choice(["MUST", "SHOULD", "MAY", "INFO"])))
    return found


def exhibits() -> list[Json]:
    """At least one exhibit of each kind, Gantt charts for two configurations."""
    dice = random.Random(5)
    configurations = ["pure Jobs", "BestEffortFIFO", "priority", "preemption", "two queues"]
    table = {
        "id": "table-3",
        "section": "Table 3: five queue configurations",
        "title": "Figures per configuration, beside the paper's (example numbers)",
        "kind": "table",
        "columns": ["configuration", "makespan s", "paper s", "ratio to FIFO", "interval", "verdict"],
        "rows": [
            [name, 512.25 + 10 * i, 15000 + i, 1.0 + i / 20, "0.98 to 1.02", None]
            for i, name in enumerate(configurations)
        ],
        "notes": ["Time scale 1/30; the hand-over floor of 2 s per job is shown, not subtracted."],
    }
    steps = {
        "id": "queue-length",
        "section": "Queue over time",
        "title": "Pending workloads",
        "kind": "steps",
        "x": "seconds since release",
        "y": "workloads",
        "series": [
            {"label": name, "points": [[t, max(0, 30 - t // (i + 2))] for t in range(0, 120, 3)]}
            for i, name in enumerate(configurations)
        ],
        "notes": [],
    }
    cdf = {
        "id": "admission",
        "section": "Latency",
        "title": "Time to admission",
        "kind": "cdf",
        "x": "seconds",
        "series": [
            {"label": n, "values": [dice.lognormvariate(0, 0.5) * s for _ in range(400)]}
            for n, s in (("small", 1), ("large", 2))
        ],
        "notes": "one sentence as a note",
    }
    curve = {
        "id": "cost",
        "section": "Scale",
        "title": "CPU-seconds per workload over size",
        "kind": "curve",
        "x": "workloads",
        "y": "CPU-seconds",
        "series": [
            {"label": "kueue", "points": [[n, 0.01 + math.sqrt(n) / 500] for n in (50, 100, 200, 400, 800, 1500)]}
        ],
    }
    gantts = [_gantt(name, seed) for seed, name in enumerate(configurations[1:4])]
    return [table, steps, cdf, curve, *gantts]


def _gantt(name: str, seed: int) -> Json:
    dice = random.Random(seed)
    lanes: list[Json] = []
    for gpu in range(8):
        at, bars = 0.0, list[Json]()
        while at < 90:
            kind = dice.choice(["medium", "medium", "large", "killed"])
            length = {"medium": 9.0, "large": 24.0, "killed": 5.0}[kind] * dice.uniform(0.7, 1.3)
            bars.append(
                {"start": at, "end": at + length, "label": f"{kind[0]}-{dice.randrange(32):02d}", "class": kind}
            )
            at += length + 2
        lanes.append({"label": f"GPU {gpu}", "bars": bars})
    return {
        "id": f"gantt-{seed}",
        "section": "Jobs on GPUs",
        "title": f"Jobs on GPUs: {name}",
        "kind": "gantt",
        "unit": "s",
        "lanes": lanes,
        "notes": ["A killed bar ends where the job was preempted."],
    }
