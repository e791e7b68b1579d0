"""Sends hostile objects, and hostile changes of healthy ones, and keeps what the API server said to each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any

import msgspec

from gpuassay.cluster.errors import ApiRefused, NotAnswered
from gpuassay.manifest import Manifest, dig
from gpuassay.record.notes import Note
from gpuassay.scenarios.lab import CLUSTER_SCOPED
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.mutants.refusal import HOSTILE, is_hostile
from gpuassay.systems.kueue.objects import hostile
from gpuassay.systems.kueue.objects.hostile import Case
from gpuassay.workloads import core

THREADS = 4
CONFLICT = 409
WRITES = 20
"""Attempts to change an object before another writer is taken to be faster for ever."""


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request.

    Attributes:
        what: kind, and whether it was created or changed.
        field: path of the field that got the value.
        value: as JSON, cut to 60 characters.
        status: of the answer; 0: none came; 200: accepted.
        message: of a refusal.
    """

    what: str
    field: str
    value: str
    status: int
    message: str = ""


TRIED = Note("hostile_tried", list[Tried], "every hostile request, and what was answered", default=[])
OFFERED = Note("hostile_offered", int, "how many hostile values the schemas give", default=0)


def definitions(lab: KueueLab) -> dict[str, Mapping[str, Any]]:
    """Schemas of the versions that are stored, by kind."""
    found: dict[str, Mapping[str, Any]] = {}
    for one in lab.api.list("CustomResourceDefinition"):
        kind = str(dig(one, "spec", "names", "kind"))
        if dig(one, "spec", "group") == "kueue.x-k8s.io" and kind in hostile.KINDS:
            versions: list[Manifest] = dig(one, "spec", "versions")
            chosen = next(v for v in versions if v["name"] == "v1beta2")
            found[kind] = chosen["schema"]["openAPIV3Schema"]
    return found


def all_cases(lab: KueueLab) -> list[Case]:
    """Every hostile value that the schemas of this cluster give."""
    schemas = definitions(lab)
    found: list[Case] = []
    for kind in hostile.KINDS:
        if kind in schemas:
            found += hostile.cases(kind, schemas[kind], hostile.healthy(kind, "x", "ns", str))
    return found


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """So many of them, the same for the same seed, spread over the kinds."""
    dice = random.Random(f"hostile {seed}")
    by_kind = {kind: [one for one in cases if one.kind == kind] for kind in hostile.KINDS}
    each = max(1, count // len(by_kind))
    return [one for mine in by_kind.values() for one in dice.sample(mine, min(each, len(mine)))]


class Attacker:
    """Sends cases, each with objects of its own.

    Attributes:
        tried: what was sent so far.
    """

    def __init__(self, lab: KueueLab) -> None:
        """Of a scenario."""
        self.lab = lab
        self.tried: list[Tried] = []

    def go(self, cases: Iterable[Case]) -> None:
        """Send every case as a new object, and as a change of a healthy one and back."""
        with ThreadPoolExecutor(THREADS) as pool:
            for one in pool.map(self._case, range(1 << 20), cases):
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
            self._send(f"create {kind}", case, lambda: lab.create(bad)),
            self._send(f"create healthy {kind}", None, lambda: lab.create(good)),
            self._send(f"change {kind}", case, lambda: self._replace(worse)),
            self._send(f"change back {kind}", case, lambda: self._replace(good)),
        ]
        found += [self._send(f"delete {kind}", None, partial(lab.delete, kind, one)) for one in names]
        return found

    def _other(self, stem: str) -> str:
        """Name of what an object refers to; there is none of it."""
        return self.lab.unique(f"host-{stem}")

    def _replace(self, obj: Manifest) -> None:
        """Write it over what there is of that name, again where another was faster; labels stay."""
        metadata = obj["metadata"]
        for left in reversed(range(WRITES)):
            stored = self.lab.api.get(obj["kind"], metadata["name"], metadata.get("namespace"))
            if stored is None:
                return
            try:
                self.lab.api.replace(obj | {key: one for key, one in stored.items() if key in {"metadata", "status"}})
            except ApiRefused as refused:
                if refused.status != CONFLICT or not left:
                    raise
            else:
                return

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
            self._send("create Job", case, lambda: lab.create(bad)),
            self._send("create healthy Job", None, lambda: lab.create(good)),
            self._send(
                "change Job", case, lambda: lab.patch("Job", f"job{number}", {"metadata": {where: {key: value}}})
            ),
        ]
        gone = (f"bad{number}", f"job{number}")
        return found + [self._send("delete Job", None, partial(lab.delete, "Job", one)) for one in gone]

    def _send(self, what: str, case: Case | None, request: Callable[[], object]) -> Tried:
        field = case.field if case else ""
        shown = json.dumps(case.value)[:60] if case else ""
        try:
            request()
        except ApiRefused as refused:
            return Tried(what, field, shown, refused.status, refused.message[:600])
        except NotAnswered as silent:
            return Tried(what, field, shown, 0, silent.reason[:300])
        return Tried(what, field, shown, 200)


def _marked(obj: Manifest) -> Manifest:
    """Marked as hostile, for the mutants."""
    metadata: Manifest = obj["metadata"]
    return obj | {"metadata": metadata | {"annotations": {**metadata.get("annotations", {}), HOSTILE: "true"}}}
