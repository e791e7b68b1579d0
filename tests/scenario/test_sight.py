"""Rights that a caller lacks on somebody's cluster: what could not be seen or done for want of them is told as that."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.access.connection import Connection
from gpuassay.cluster import leaks
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.engine import sight
from gpuassay.engine.environment import Environment
from gpuassay.engine.existing import RECORDED
from gpuassay.engine.runner import Runner
from gpuassay.labels import RUN
from gpuassay.manifest import Manifest
from gpuassay.scenarios.declare import Scenario
from gpuassay.scenarios.lab import Lab
from gpuassay.system import Rule, System
from tests.discovery.stub import Stub

SENTENCE = 'jobs.batch is forbidden: User "it" cannot {} resource "{}" in API group "{}" in the namespace "ns"'
KUEUE = System("kueue", rules=(Rule("kueue.x-k8s.io", "workloads", "create list watch"),))
OTHER = System("other", rules=(Rule("", "pods/log", "get"), Rule("batch", "jobs", "watch (only with an option)")))


def forbidden(verb: str, resource: str, group: str = "") -> ApiRefused:
    return ApiRefused(403, "Forbidden", SENTENCE.format(verb, resource, group))


class Lesser(Api):
    """An API server with objects of one run, whose caller lacks some rights (`VERB RESOURCE`)."""

    def __init__(self, lacks: Sequence[str], objects: Mapping[str, Sequence[str]]) -> None:
        super().__init__(cast("Connection", None))
        self.lacks, self.objects = lacks, {plural: list(names) for plural, names in objects.items()}

    def request(self, method: str, path: str, body: Any = None, **_: Any) -> str:
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            return json.dumps({"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in self.lacks}})
        found = re.fullmatch(
            r"/apis?/(?:([a-z.0-9-]+\.[a-z.0-9-]+|batch|apps)/)?v\w+/(\w+)(?:/(.*))?", path.partition("?")[0]
        )
        assert found, path
        group, plural, name = found[1] or "", found[2], found[3]
        verb = {"get": "list", "delete": "delete"}[method]
        if f"{verb} {plural}" in self.lacks:
            raise forbidden(verb, plural, group)
        if verb == "delete":
            self.objects[plural].remove(name)
            return "{}"
        items = [{"metadata": {"name": one, "labels": {RUN: "me"}}} for one in self.objects.get(plural, [])]
        return json.dumps({"metadata": {}, "items": items})


def test_a_refusal_for_want_of_a_right_is_told_from_a_webhooks() -> None:
    """Red when a webhook's 403 counts as a lack of ours, or ours as a webhook's."""
    assert forbidden("create", "jobs", "batch").denied == "create jobs.batch"
    assert forbidden("get", "pods/log").denied == "get pods/log"
    assert ApiRefused(403, "Forbidden", 'admission webhook "x" denied the request: cannot create it').denied == ""
    assert ApiRefused(409, "Conflict", SENTENCE.format("get", "pods", "")).denied == ""


def _nothing(group: str, resource: str, verb: str) -> bool:
    del group, resource, verb
    return False


def _none(token: str) -> list[Any]:
    del token
    return []


def test_kinds_that_may_not_be_watched_keep_their_system_from_being_judged() -> None:
    """Red when a system whose objects cannot be seen is acted on, or one that needs no such right is not."""
    served = {"kueue.x-k8s.io": ["v1beta2"]}
    blind = Stub("v1.36.0", {}, groups=served, may=lambda group, resource, verb: verb != "watch" and resource != "*")
    told = sight.unseen(blind, RECORDED, [KUEUE, OTHER])
    assert told.keys() == {"kueue"}
    assert (
        "may not watch workloads.kueue.x-k8s.io, so what happens could not be seen (`gpuassay role kueue`"
        in told["kueue"]
    )
    assert not sight.unseen(Stub("v1.36.0", {}, may=_nothing), RECORDED, [KUEUE, OTHER])  # not served
    assert not sight.unseen(Stub("v1.36.0", {}, groups=served), RECORDED, [KUEUE, OTHER])


def _lab(api: Any) -> Lab:
    cluster: Any = SimpleNamespace(api=api)
    return Lab(token="t", run_id="r", cluster=cluster, view=cast("Any", None))


class Refusing:
    """Refuses every object."""

    def __init__(self, refusal: ApiRefused) -> None:
        self.refusal = refusal

    def create(self, manifest: Manifest) -> Manifest:
        raise self.refusal


def test_what_is_tried_and_may_not_be_tried_is_no_refusal_of_the_system() -> None:
    """Red when the lack of a right passes as the refusal that a behaviour expects of a webhook: a false green."""
    job: Manifest = {"kind": "Job", "metadata": {"name": "a"}}
    with pytest.raises(ApiRefused, match="cannot create"):
        _lab(Refusing(forbidden("create", "jobs", "batch"))).attempt("one", job)
    assert not _lab(Refusing(ApiRefused(403, "Forbidden", "admission webhook denied"))).attempt("one", job)


class Deaf(Environment):
    """An environment without a cluster, whose labs are denied what scenarios ask for."""

    def prepare(self, lab: Lab) -> None:
        pass

    def settle(self, lab: Lab, quiet: float, settled: Any) -> None:
        pass

    def broken(self) -> str | None:
        return None

    def clear(self, lab: Lab, swept: Any = ()) -> None:
        pass

    def lab_of(self, kind: Any, token: str, *, full: bool, progress: Any) -> Any:
        del kind, token, full, progress
        return _lab(Api(cast("Connection", None)))


def _swallows(lab: Lab) -> None:
    """Is denied something, and goes on as if nothing was the matter."""
    lab.api.denied.add("get pods/log")


SWALLOWS = Scenario("demo.swallows", _swallows, "kueue", "default", "", frozenset({"kueue"}), 60, __name__)


@pytest.mark.parametrize("unseen", [False, True])
def test_a_scenario_that_was_denied_something_is_no_recording_to_be_judged(tmp_path: Path, unseen: bool) -> None:
    """Red when what could not be done or seen is judged."""
    view: Any = SimpleNamespace(gaps=_none, lines=_none)
    environment = Deaf("r", cast("Any", None), view, frozenset({"kueue"}), None, ours=False)
    environment.unseen = {"kueue": "this identity may not watch pods"} if unseen else {}
    told: list[str] = []
    runner = Runner(
        environment, tmp_path, threading.Event(), lambda one, outcome: told.append(outcome), lambda _: None, 1
    )
    runner.act_all([SWALLOWS])
    assert told == ["skip" if unseen else "error"]
    meta = json.loads(next(tmp_path.glob("recordings/*/recording.json")).read_text())
    assert ("may not watch pods" if unseen else "this identity may not get pods/log (`gpuassay role kueue`") in meta[
        "error"
    ]


def test_what_is_left_for_want_of_a_right_is_told() -> None:
    """Red when objects stay silently because they may not be listed or deleted."""
    whole = Lesser([], {"jobs": ["a"], "configmaps": ["c"]})
    assert leaks.sweep(whole, "me", 5) == [] and not any(whole.objects.values())
    kept = Lesser(["delete jobs"], {"jobs": ["a"], "configmaps": ["c"]})
    assert leaks.sweep(kept, "me", 5) == ["Job a", "this identity may not delete jobs.batch"]
    assert kept.objects == {"jobs": ["a"], "configmaps": []}
    hidden = leaks.sweep(Lesser(["list configmaps", "* *"], {"configmaps": ["c"]}), "me", 5)
    assert hidden == ["ConfigMap: whether any is left cannot be seen, this identity may not list configmaps"]
    assert leaks.sweep(Lesser(["list configmaps", "create configmaps"], {}), "me", 5) == []
