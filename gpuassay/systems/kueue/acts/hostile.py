"""Sends hostile objects of Kueue, and hostile changes of healthy ones, and keeps what the API server said to each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat

from gpuassay.hostile.answers import TRIED, Tried
from gpuassay.hostile.cases import Case, cases
from gpuassay.hostile.sending import schemas, send, write_over
from gpuassay.manifest import Manifest
from gpuassay.scenarios.lab import CLUSTER_SCOPED
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.mutants.refusal import HOSTILE, is_hostile
from gpuassay.systems.kueue.objects import hostile
from gpuassay.workloads import core

THREADS = 4


def all_cases(lab: KueueLab) -> list[Case]:
    """Every hostile value that the schemas of this cluster give."""
    known = schemas(lab.api, "kueue.x-k8s.io", "v1beta2", hostile.KINDS)
    found: list[Case] = []
    for kind in hostile.KINDS:
        if kind in known:
            found += cases(kind, known[kind], hostile.healthy(kind, "x", "ns", str))
    return found


class Attacker:
    """Sends cases, each with objects of its own.

    Attributes:
        tried: what was sent so far.
    """

    def __init__(self, lab: KueueLab) -> None:
        """Of a scenario."""
        self.lab = lab
        self.tried: list[Tried] = []

    def go(self, chosen: Iterable[Case]) -> None:
        """Send every case as a new object, and as a change of a healthy one and back."""
        with ThreadPoolExecutor(THREADS) as pool:
            for one in pool.map(self._case, range(1 << 20), chosen):
                self.tried += one
        self._keep()

    def jobs(self, queue: str) -> None:
        """Send Jobs with hostile labels and annotations, and give them to healthy ones."""
        listed = [
            (where, key, value)
            for where, table in (("labels", hostile.JOB_LABELS), ("annotations", hostile.JOB_NOTES))
            for key, values in table.items()
            for value in values
        ]
        with ThreadPoolExecutor(THREADS) as pool:
            for one in pool.map(self._job, repeat(queue), range(1 << 20), listed):
                self.tried += one
        self._keep()

    def _case(self, number: int, case: Case) -> list[Tried]:
        lab, kind = self.lab, case.kind
        scoped = kind in CLUSTER_SCOPED
        names = [lab.unique(f"h{number}{one}") if scoped else f"h{number}{one}" for one in ("bad", "good")]
        bad, good = (hostile.healthy(kind, one, lab.namespace, self._other) for one in names)
        try:
            bad, worse = _marked(case.put(bad)), case.put(good)
        except LookupError:
            return []
        found = [
            send(f"create {kind}", case, lambda: lab.create(bad)),
            send(f"create healthy {kind}", None, lambda: lab.create(good)),
            send(f"change {kind}", case, lambda: write_over(lab.api, worse)),
            send(f"change back {kind}", case, lambda: write_over(lab.api, good)),
        ]
        found += [send(f"delete {kind}", None, partial(lab.delete, kind, one)) for one in names]
        return found

    def _other(self, stem: str) -> str:
        """Name of what an object refers to; there is none of it."""
        return self.lab.unique(f"host-{stem}")

    def _keep(self) -> None:
        """Note what was tried. Hostile objects are not kept as asked for: no rule holds of what they ask for."""
        self.lab.note(TRIED, self.tried)
        self.lab.asked[:] = [one for one in self.lab.asked if not is_hostile(one)]

    def _job(self, queue: str, number: int, listed: tuple[str, str, str]) -> list[Tried]:
        lab, (where, key, value) = self.lab, listed
        case = Case("Job", ("metadata", where, key), value)
        nowhere = {"gpuassay.io/no-such-node": "true"}
        good = core.job(f"job{number}", lab.namespace, queue, nodeSelector=nowhere)
        bad = case.put(core.job(f"bad{number}", lab.namespace, queue, nodeSelector=nowhere))
        if key.startswith("kueue.x-k8s.io/podset"):
            bad = Case("Job", ("spec", "template", "metadata", where, key), value).put(bad)
        bad = _marked(bad)
        found = [
            send("create Job", case, lambda: lab.create(bad)),
            send("create healthy Job", None, lambda: lab.create(good)),
            send("change Job", case, lambda: lab.patch("Job", f"job{number}", {"metadata": {where: {key: value}}})),
        ]
        gone = (f"bad{number}", f"job{number}")
        return found + [send("delete Job", None, partial(lab.delete, "Job", one)) for one in gone]


def _marked(obj: Manifest) -> Manifest:
    """Marked as hostile, for the mutants."""
    metadata: Manifest = obj["metadata"]
    return obj | {"metadata": metadata | {"annotations": {**metadata.get("annotations", {}), HOSTILE: "true"}}}
