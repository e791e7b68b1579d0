"""Gives a picker hostile InferencePools, objectives and rewrites, and looks whether it heeds healthy ones beside them.

A picker reads these objects by watches: one that it cannot decode, or that ends a reconciliation, may keep all others
from it. So beside each hostile object a rewrite is made that changes the next request, or the picker has gone deaf.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuassay.hostile.answers import TRIED, Tried
from gpuassay.hostile.cases import Case, cases
from gpuassay.hostile.sending import schemas, send, write_over
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.acts.scheduling import pick, place
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.objects import hostile
from gpuassay.systems.llmd.objects.hostile import OBJECTIVE, POOL, REWRITE, VERSIONS
from gpuassay.systems.llmd.objects.prompts import Prompt, synthetic
from gpuassay.systems.llmd.readings import NEIGHBOURS
from gpuassay.systems.llmd.rows import NeighbourRow, RequestRow
from gpuassay.systems.llmd.versions import picker_names
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment

PATIENCE = 3.0
"""Seconds for a picker to heed a change."""
IMPATIENCE = 0.3
"""Likewise, once it has not."""
OBJECTIVE_HEADER = picker_names("0.7").objective


def all_cases(site: Deployment) -> list[Case]:
    """Every hostile value that the schemas of this cluster give."""
    api, found = site.lab.api, list[Case]()
    for kind, (group, version) in VERSIONS.items():
        known = schemas(api, group, version, (kind,))
        found += cases(kind, known[kind], _healthy(site, kind, "x"))
    return found


def _healthy(site: Deployment, kind: str, name: str) -> Manifest:
    if kind == POOL:
        there = site.lab.api.get(crds.INFERENCE_POOL.name, site.routing.pool, site.routing.namespace)
        assert there is not None
        return {key: there[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    made = hostile.healthy(kind, name, site.routing.namespace, site.routing.pool, f"as-{name}")
    made["metadata"]["labels"] = dict(site.lab.marks)
    return made


@dataclass
class Attacker:
    """Sends cases to an arm without a gateway, and notes how its picker fared.

    Attributes:
        site: the arm.
    """

    site: Deployment
    _number: int = field(default=0)
    _patience: float = field(default=PATIENCE)
    _tried: list[Tried] = field(default_factory=list[Tried])

    def go(self, chosen: Iterable[Case]) -> None:
        """Every case once: of the arm's pool as a change and back, of the others as a new object and as a change."""
        for case in chosen:
            self._number += 1
            (self._pool if case.kind == POOL else self._other)(case)
        self.site.lab.note(TRIED, self._tried)

    def _pool(self, case: Case) -> None:
        api, good = self.site.lab.api, _healthy(self.site, POOL, "")
        if (worse := _put(case, good)) is None:
            return
        if self._sent(f"change {POOL}", case, lambda: write_over(api, worse)):
            self._ask(f"pool {self._number}")
            self._sent(f"change back {POOL}", None, lambda: write_over(api, good))
            self._look(case, "changed and back")

    def _other(self, case: Case) -> None:
        api, kind = self.site.lab.api, case.kind
        good = _healthy(self.site, kind, f"good{self._number}")
        bad = _put(case, _healthy(self.site, kind, f"bad{self._number}"))
        worse = _put(case, good)
        if bad is None or worse is None:
            return
        steps: Sequence[tuple[str, Manifest, Callable[[], Any]]] = (
            ("created", bad, lambda: api.create(bad)),
            ("changed", worse, lambda: (api.create(good), write_over(api, worse))),
        )
        for what, obj, step in steps:
            if self._sent(f"{what.removesuffix('d')} {kind}", case, step):
                name = obj["metadata"]["name"]
                self._ask(name, objective=name if kind == OBJECTIVE else None, model=name if kind == REWRITE else None)
                self._look(case, what)
            api.delete(kind, obj["metadata"]["name"], self.site.routing.namespace)

    def _sent(self, what: str, case: Case | None, request: Callable[[], object]) -> bool:
        self._tried.append(send(what, case, request))
        return self._tried[-1].status == 200

    def _ask(self, wave: str, *, objective: str | None = None, model: str | None = None) -> RequestRow:
        """One request that the object concerns; it may be refused."""
        headers = {OBJECTIVE_HEADER: objective} if objective else None
        asked: dict[str, Any] = {"model": model} if model else {}
        return pick(self.site, wave, [self._prompt()], headers=headers, **asked)[0]

    def _prompt(self) -> Prompt:
        return synthetic(f"hostile{self._number}", 40, 4711)

    def _look(self, case: Case, what: str) -> None:
        """Whether the picker lives and heeds a rewrite that is made now; how long that took."""
        start, name = self._start(), f"canary{self._number}{what[0]}"
        began = time.monotonic()
        place(self.site, crds.INFERENCE_MODEL_REWRITE, name, {
            "rules": [{"matches": [{"model": {"value": name}}], "targets": [{"modelRewrite": f"seen-{name}"}]}]
        })  # fmt: skip
        rows: list[RequestRow] = []

        def heeded() -> bool:
            rows.append(self._ask("canary", model=name))
            return rows[-1].model == f"seen-{name}"

        try:
            wait(heeded, bool, what="a new rewrite to change a request", timeout=self._patience, delay=0.02)
        except WaitTimeout:
            self._patience = IMPATIENCE
        self.site.lab.api.delete(crds.INFERENCE_MODEL_REWRITE.name, name, self.site.routing.namespace)
        self.site.lab.rows(NEIGHBOURS).append(
            NeighbourRow(
                neighbour=case.kind, fault=f"{what}, {case.field} = {str(case.value)[:60]!r}", asked=1,
                answered=int(rows[-1].ok), slowest_s=round(time.monotonic() - began, 3),
                alive=start is not None and self._start() == start,
                followed=rows[-1].model == f"seen-{name}", detail=rows[-1].detail or rows[-1].error or "",
            )
        )  # fmt: skip

    def _start(self) -> str | None:
        return self.site.picker.child.start_seen()


def _put(case: Case, obj: Manifest) -> Manifest | None:
    try:
        return case.put(obj)
    except LookupError:
        return None
