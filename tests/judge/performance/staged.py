"""Recordings made from runs of the twin: what the judges must find is known exactly."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from datetime import UTC, datetime

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.log import ASSUMED
from gpuassay.systems.kueue.model.paper import GPUS, table3_mix
from gpuassay.systems.kueue.model.predict import queues_of
from gpuassay.systems.kueue.model.twin import Latencies, TwinJob, TwinRun, simulate
from gpuassay.systems.kueue.readings import KueueRecording

START = 1_800_000_000_000_000_000
NAMESPACE = "ga-arm"
LATENCIES = Latencies(create_lag=0.03, start_lag=0.2, finish_lag=1.01, requeue_batch=1.03, evict_lag=0.4)
SCALE = 1 / 30


def at_ns(seconds: float) -> int:
    """A time of the recording."""
    return START + round(seconds * 1e9)


def stamp(seconds: float, *, digits: bool = False) -> str:
    """RFC 3339, as Kubernetes (whole seconds) or as Kueue's log writes it."""
    whole, rest = divmod(at_ns(seconds), 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}Z" if digits else f"{text}Z"


def jobs_of(configuration: str, seed: int = 1) -> list[TwinJob]:
    """The jobs of a configuration, priorities and queues included."""
    names = ("cq-medium", "cq-large") if configuration.startswith("two-queues") else ("cluster-queue", "cluster-queue")
    priorities = (100, 1000) if configuration in {"priority", "preemption"} else (0, 0)
    return table3_mix(seed, SCALE, queues=names, priorities=priorities)


def twin(configuration: str, jobs: list[TwinJob], latencies: Latencies = LATENCIES) -> TwinRun:
    """The twin's run of it."""
    queues, cohort = queues_of(configuration)
    return simulate(jobs, queues, latencies, cohort=cohort)


class Stage:
    """Collects events in any order."""

    def __init__(self) -> None:
        self.events: list[tuple[float, int, Manifest]] = []
        self.version = 0

    def show(self, seconds: float, change: str, kind: str, name: str, **more: object) -> None:
        """One event; `more` goes into the object, `owner` and `uid` into its metadata."""
        owner, uid = more.pop("owner", None), more.pop("uid", f"{kind}-{name}")
        metadata: Manifest = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "creationTimestamp": more.pop("made", ""),
        }
        if owner:
            metadata["ownerReferences"] = [{"kind": "Job", "name": owner}]
        obj: Manifest = {"kind": kind, "apiVersion": "v1", "metadata": metadata, **more}
        self.version += 1
        self.events.append((seconds, self.version, {"at": at_ns(seconds), "type": change, "object": obj}))

    def lines(self) -> list[Manifest]:
        """The events by time, versions rising."""
        ordered = [line for _, _, line in sorted(self.events, key=lambda one: one[:2])]
        for number, line in enumerate(ordered, start=1):
            line["object"]["metadata"]["resourceVersion"] = str(number)
        return ordered


def conditions(**states: bool) -> Manifest:
    """A status with these conditions."""
    return {
        "conditions": [{"type": kind, "status": str(on), "reason": kind, "message": ""} for kind, on in states.items()]
    }


def assumed(seconds: float, job: str, queue: str, cycle: int, namespace: str = NAMESPACE) -> Manifest:
    """The log line of a decision."""
    return {
        "ts": stamp(seconds, digits=True), "msg": ASSUMED, "schedulingCycle": cycle,
        "workload": {"name": f"job-{job}", "namespace": namespace}, "clusterQueue": {"name": queue},
    }  # fmt: skip


def staged(
    configuration: str, seed: int = 1, latencies: Latencies = LATENCIES, *, stall: float | None = 0.1
) -> tuple[KueueRecording, TwinRun]:
    """A recording as the live arm would leave it if it did just what the twin does; and the twin's run."""
    jobs = jobs_of(configuration, seed)
    run = twin(configuration, jobs, latencies)
    stage = Stage()
    log: list[Manifest] = []
    decided: dict[str, list[float]] = defaultdict(list)
    for cycle, decision in enumerate(run.decisions, start=1):
        decided[decision.workload.name].append(decision.at)
        queue = next(job.queue for job in jobs if job.name == decision.workload.name)
        log.append(assumed(decision.at, decision.workload.name, queue, cycle))
    for job, ran in zip(jobs, run.runs, strict=True):
        seen = job.arrival + latencies.create_lag
        workload: Manifest = {"owner": job.name, "uid": job.name, "made": stamp(seen)}
        spec: Manifest = {"priority": job.priority, "queueName": job.queue}
        stage.show(job.arrival, "ADDED", "Job", job.name)
        stage.show(seen, "ADDED", "Workload", f"job-{job.name}", spec=spec, **workload)

        def change(
            when: float, name: str = job.name, spec: Manifest = spec, seen: float = seen, **states: bool
        ) -> None:
            stage.show(
                when, "MODIFIED", "Workload", f"job-{name}", spec=spec, owner=name, uid=name, made=stamp(seen),
                status=conditions(**states),
            )  # fmt: skip

        for when in decided[job.name]:
            change(when + 0.001, QuotaReserved=True, Admitted=True)
        for eviction in run.evictions:
            if eviction.victim == job.name:
                change(eviction.at, QuotaReserved=True, Admitted=True, Evicted=True)
                if ran.finished is None or ran.finished > eviction.at + latencies.evict_lag:
                    change(eviction.at + latencies.evict_lag, QuotaReserved=False, Admitted=False, Evicted=True)
        for number, attempt in enumerate(ran.attempts):
            pod = f"{job.name}-{number}"
            assert attempt.end is not None
            stage.show(attempt.start, "ADDED", "Pod", pod, owner=job.name, status={"phase": "Running"})
            end = "Failed" if attempt.killed else "Succeeded"
            stage.show(attempt.end, "MODIFIED", "Pod", pod, owner=job.name, status={"phase": end})
        assert ran.finished is not None
        change(ran.finished + latencies.finish_lag, QuotaReserved=True, Admitted=True, Finished=True)
    meta = RecordingMeta(
        scenario=f"staged.{configuration}",
        namespaces=[NAMESPACE],
        started_ns=START,
        ended_ns=at_ns(1000),
        notes={
            "configuration": configuration, "seed": seed, "scale": SCALE, "gpus": GPUS, "finished": len(jobs),
            "jobs": [asdict(replace(job, uid="")) for job in jobs],
        },
        pressure={"cpu_stall_share": stall},
    )  # fmt: skip
    return KueueRecording.of_parts(meta, events=stage.lines(), log=log), run


def with_log(recording: KueueRecording, log: list[Manifest]) -> KueueRecording:
    """The same recording with another log."""
    lines = [{"at": event.at, "type": event.type, "object": event.object} for event in recording.events]
    return KueueRecording.of_parts(recording.meta, events=lines, log=log)
