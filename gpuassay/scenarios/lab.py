"""What any scenario can do: create objects under its own name, wait, and note what the judges must know."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig
from gpuassay.record import facts
from gpuassay.record.facts import Attempt
from gpuassay.record.notes import Note
from gpuassay.waiting import WaitTimeout
from gpuassay.workloads.real import with_real_containers

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.record.live import LiveView
    from gpuassay.record.parts import Part
    from gpuassay.scenarios.mutants import Mutant

K = TypeVar("K")
T = TypeVar("T")

CLUSTER_SCOPED = frozenset({
    "ClusterQueue", "Cohort", "ResourceFlavor", "WorkloadPriorityClass", "AdmissionCheck", "Topology",
    "Namespace", "Node", "DeviceClass", "ResourceSlice", "PriorityClass", "RuntimeClass",
})  # fmt: skip

R = TypeVar("R")

PATIENCE = 45.0
"""Seconds for what should show, while everything else has shown: a slow machine is not a broken system."""
IMPATIENCE = 3.0
"""Seconds for what should show, once something has not."""


class Lab:
    """What a scenario acts with. A system under test has a subclass with what its scenarios need besides.

    Everything created carries the run's and the scenario's labels. Cluster-scoped names get the scenario's token as
    a suffix (`lab.unique`), namespaced objects live in `lab.namespace`.

    Attributes:
        token: unique in the run; in the names and labels of all that is created.
        run_id: of the run; likewise in labels.
        namespace: the scenario's own.
        namespaces: all that it has made.
        cluster: on which it acts.
        api: access to it, with all rights that we have.
        view: what the recorder has seen so far.
        mutant: breaks the system under test, or None.
        full: long versions of measurements are wanted.
        progress: tells the person at the terminal how far it is.
        place: where the engine will write the recording; recordings of arms go beside it.
        notes: facts for the judges, as the recording will have them.
        asked: every object as it was asked for, before a mutant could change it.
        samples: metrics, one row per sample.
        parts: rows of what the system adds to the recording.

    Example:
        meta = {"name": "mine", "namespace": lab.namespace}
        lab.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        lab.observe(lambda: len(lab.objects("Pod")) == 2, "both pods are there")
    """

    def __init__(
        self, *, token: str, run_id: str, cluster: Cluster, view: LiveView, mutant: Mutant | None = None,
        full: bool = False, progress: Callable[[str], None] = lambda _: None, image: str = "",
    ) -> None:  # fmt: skip
        self.token, self.run_id = token, run_id
        self.namespace = f"ga-{token}"
        self.namespaces = [self.namespace]
        self.cluster, self.api, self.view = cluster, cluster.api, view
        self.mutant, self.full, self.progress = mutant, full, progress
        self.place: Path | None = None
        self.notes: dict[str, Any] = {}
        self.asked: list[Manifest] = []
        self.samples: list[Manifest] = []
        self.parts: dict[Part[Any], list[Any]] = {}
        self._image = image

    def rows(self, part: Part[R]) -> list[R]:
        """The rows of a part of the recording, of the type that the part says; append to it."""
        return self.parts.setdefault(part, [])

    # --- notes -----------------------------------------------------------------------------------------------------

    def note(self, note: Note[T], value: T) -> None:
        """Hand a fact to the judges (`recording.note`); it takes the place of an earlier value.

        Raises:
            TypeError: the value is not of the note's type.
        """
        self.notes[note.name] = note.as_json(value)

    def note_under(self, note: Note[dict[K, T]], key: K, value: T) -> None:
        """Add one entry to a note that is a mapping.

        Raises:
            TypeError: the value is not of the note's type.
        """
        self.notes.setdefault(note.name, {}).update(note.as_json({key: value}))

    def note_next(self, note: Note[list[T]], value: T) -> None:
        """Add one entry to a note that is a list.

        Raises:
            TypeError: the value is not of the note's type.
        """
        self.notes.setdefault(note.name, []).extend(note.as_json([value]))

    def noted(self, note: Note[T]) -> T:
        """What was noted so far, or the note's default.

        Raises:
            gpuassay.record.store.RecordingError: nothing was, and there is no default.
        """
        return note.read(self.notes, f"the scenario of {self.namespace}")

    def mark(self, name: str, *, once: bool = False) -> None:
        """Note the time now (`recording.mark`), in ns since the epoch; with `once` an earlier time stays."""
        if not (once and name in self.notes.get(facts.MARKS.name, {})):
            self.note_under(facts.MARKS, name, time.time_ns())

    # --- writing ---------------------------------------------------------------------------------------------------

    def unique(self, base: str) -> str:
        """A cluster-wide unique name."""
        return f"{base}-{self.token}"

    @property
    def marks(self) -> dict[str, str]:
        """Labels of everything that this scenario creates."""
        return {labels.RUN: self.run_id, labels.SCENARIO: self.token}

    def _marked(self, manifest: Manifest) -> Manifest:
        marks = self.marks
        metadata = manifest["metadata"] | {"labels": dig(manifest, "metadata", "labels", default={}) | marks}
        marked = manifest | {"metadata": metadata}
        template = dig(marked, "spec", "template", "metadata")
        if template is not None and marked["kind"] != "Workload":
            template["labels"] = (template.get("labels") or {}) | marks
        return marked

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object (through the mutant, when there is one) and return what the server stored.

        Raises:
            ApiRefused: the server refused it; use `attempt` where the refusal is the behaviour.
        """
        asked = self._marked(manifest)
        self.asked.append(asked)
        return self.api.create(self.really(self.mutant.change(asked) if self.mutant else asked))

    def really(self, manifest: Manifest) -> Manifest:
        """A manifest as it is sent: on a cluster whose pods really run, with an image that can be had there."""
        return with_real_containers(copy.deepcopy(manifest), self._image) if self._image else manifest

    def create_all(self, manifests: Sequence[Manifest], *, threads: int = 8) -> list[Manifest]:
        """Create many objects at once; the order of creation is not defined."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.create, manifests))

    def attempt(self, label: str, manifest: Manifest) -> bool:
        """Try to create an object; note what came of it (`recording.attempt`) and return whether it was accepted."""
        return self._attempt(label, lambda: self.create(manifest))

    def attempt_patch(self, label: str, kind: str, name: str, body: Manifest, *, namespace: str | None = None) -> bool:
        """Like `attempt`, for a merge patch."""
        return self._attempt(label, lambda: self.patch(kind, name, body, namespace=namespace))

    def _attempt(self, label: str, request: Callable[[], object]) -> bool:
        outcome = Attempt(accepted=True)
        try:
            request()
        except ApiRefused as refused:
            if refused.denied:  # to us, whatever was tried: nothing that the system under test has done
                raise
            outcome = Attempt(False, refused.status, refused.reason, refused.message)
        self.note_under(facts.ATTEMPTS, label, outcome)
        return outcome.accepted

    def _namespace_for(self, kind: str, namespace: str | None) -> str | None:
        return None if kind in CLUSTER_SCOPED else namespace or self.namespace

    def patch(
        self, kind: str, name: str, body: Manifest, *, namespace: str | None = None, subresource: str | None = None
    ) -> Manifest:
        """JSON merge patch (through the mutant, when there is one)."""
        if self.mutant is not None:
            body = self.mutant.change_patch(kind, body)
        return self.api.patch(kind, name, body, namespace=self._namespace_for(kind, namespace), subresource=subresource)

    def delete(self, kind: str, name: str, *, namespace: str | None = None, propagation: str = "Background") -> None:
        """Delete an object; one that is already gone is fine."""
        self.api.delete(kind, name, namespace=self._namespace_for(kind, namespace), propagation=propagation)

    # --- reading ---------------------------------------------------------------------------------------------------

    def objects(self, kind: str, *, namespace: str | None = None) -> list[Manifest]:
        """The latest known objects of this scenario (from the recorder's watch, not a request)."""
        if kind in CLUSTER_SCOPED:
            return self.view.objects(kind, token=self.token)
        return self.view.objects(kind, namespace=namespace or self.namespace)

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """The latest known object, or None."""
        return self.view.get(kind, name, namespace=self._namespace_for(kind, namespace))

    # --- waiting ---------------------------------------------------------------------------------------------------

    def until(
        self,
        ready: Callable[[], bool],
        what: str,
        *,
        timeout: float = 30,
        error: Callable[[], str | None] | None = None,
    ) -> None:
        """Wait for a precondition. Failing to reach it breaks the scenario: its tests end as ERROR."""
        self.view.wait(lambda _: ready(), what=what, timeout=timeout, error=(lambda _: error()) if error else None)

    def observe(self, ready: Callable[[], bool], what: str, *, timeout: float | None = None) -> bool:
        """Give the system time to show what it should; the judge sees whether it did (`recording.observed(what)`).

        Without a `timeout`, as long as a crowded machine needs (`PATIENCE`), yet quick (`IMPATIENCE`) once something
        else has not shown: the first miss refutes a behaviour, what is looked for after it is not worth a long wait.
        """
        if timeout is None:
            timeout = PATIENCE if all(self.noted(facts.OBSERVED).values()) else IMPATIENCE
        try:
            self.until(ready, what, timeout=timeout)
            seen = True
        except WaitTimeout:
            seen = False
        self.note_under(facts.OBSERVED, what, seen)
        return seen
