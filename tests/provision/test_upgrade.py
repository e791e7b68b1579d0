"""A component of ours is taken to another version in its place: what is refused, noted, and waited for."""

from __future__ import annotations

from typing import cast

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Installation, Wish
from gpuassay.provision.inventory import Inventory
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.plan import decide
from gpuassay.provision.registry import component
from gpuassay.provision.upgrade import amended, refuse_downgrade
from gpuassay.toolchain import Assets

OLD, BOTH, NEW = (Ref("v1", "ConfigMap", "there", name) for name in ("old", "both", "new"))


def test_what_either_version_makes_is_noted_once_and_what_was_before_stays() -> None:
    """Red when a removal after a killed upgrade would not find what the old version made, or the new one."""
    before = frozenset({("", "ConfigMap", "default", "theirs")})
    old = Inventory("one", "run-a", "v1", "there", True, "manifests", "", [OLD, BOTH], [OLD], before, {"n": {"a": "b"}})
    new = amended(old, "v2", [BOTH, NEW], [NEW])
    assert (list(new.refs), list(new.applied)) == ([OLD, BOTH, NEW], [OLD, NEW])
    assert (new.version, new.run, new.before, new.nodes) == ("v2", "run-a", before, {"n": {"a": "b"}})


@pytest.mark.parametrize(("old", "new"), [("v0.18.4", "0.19.2"), ("v0.19.2", "v0.19.2"), ("unknown", "v0.1.0")])
def test_a_later_version_and_a_second_try_are_taken(old: str, new: str) -> None:
    refuse_downgrade(old, new)


def test_a_downgrade_is_refused_in_one_line() -> None:
    with pytest.raises(ClusterError, match=r"^from v0\.19\.2 to v0\.18\.4 is a downgrade.*--reinstall"):
        refuse_downgrade("v0.19.2", "v0.18.4")


@pytest.mark.parametrize(
    ("run", "said"), [("run-a", ""), ("", "what somebody else has installed is not upgraded")]
)  # fmt: skip
def test_only_ours_is_upgraded(monkeypatch: pytest.MonkeyPatch, run: str, said: str) -> None:
    """Red when somebody else's component is upgraded, or ours is removed first."""
    there = Installation("v0.18.4", "kueue-system", "Helm release kueue", run)

    def found(*_: object) -> Installation:
        return there

    monkeypatch.setattr("gpuassay.provision.plan.found", found)
    if said:
        with pytest.raises(ClusterError, match=said):
            decide(component("kueue"), cast("Objects", None), upgrade=True)
        return
    step = decide(component("kueue"), cast("Objects", None), upgrade=True)
    assert step.upgrade and not step.install and not step.remove_first


def test_the_chart_of_another_version_says_that_version() -> None:
    """Red when an older chart would be noted as of the suite's own version, and its upgrade as none."""
    from gpuassay.systems.kueue.provision import content

    made = content(Assets.parse(["kueue@0.18.4"], {}), Wish())
    assert made.version == "v0.18.4" and made.chart and "kueue@v0.18.4" in made.chart.source
