"""Which upgrades are acted out: what would be a downgrade is skipped by type, with its source."""

from __future__ import annotations

import pytest

from gpuassay.engine.pools import Unavailable
from gpuassay.manifest import Manifest
from gpuassay.scenarios.declare import Scenario
from gpuassay.system import pool
from gpuassay.systems.kueue import system
from gpuassay.systems.kueue.component.installation import in_order
from gpuassay.systems.kueue.environment import refuse_downgrade
from gpuassay.systems.kueue.system import SYSTEM
from gpuassay.toolchain import Assets


def test_an_older_version_may_be_upgraded() -> None:
    refuse_downgrade("0.18.4", Assets.parse([], {}))
    refuse_downgrade("0.17.1", Assets.parse(["kueue@0.18.4"], {}))


@pytest.mark.parametrize("tested", ["0.17.1", "0.18.4"])
def test_a_downgrade_is_refused_with_its_source(tested: str) -> None:
    """Red when an upgrade that begins with 0.18.4 ends with that version, or an older one."""
    with pytest.raises(Unavailable, match=rf"^the cluster lacks: .*from 0\.18\.4 to {tested} is no upgrade.*https://"):
        refuse_downgrade("0.18.4", Assets.parse([f"kueue@{tested}"], {}))


def test_each_other_version_has_a_pool_of_its_own() -> None:
    """Red when two upgrades would share a cluster, or one has none."""
    names = [one.name for one in (*system.UPGRADES.values(), *system.KILLED_UPGRADES.values())]
    assert len(set(names)) == len(names) >= 7
    assert {"cluster-from-0.18.4", "cluster-kubernetes-1.37.1"} <= set(names)
    assert pool("cluster-kubernetes-1.37.1").extra == ("controlplane@1.37.1",)


def test_an_upgrade_that_is_killed_has_a_pool_of_its_own() -> None:
    """Red when it would begin on a cluster whose Kueue another scenario has upgraded already."""

    def of(*needs: str) -> str:
        assert SYSTEM.pool_of is not None
        made = Scenario("s", lambda _: None, "kueue", "default", "cluster", frozenset(needs), 60, __name__)
        return SYSTEM.pool_of(made)

    assert of("program:kueue@0.18.4") == "cluster-from-0.18.4"
    assert of("program:kueue@0.18.4", "killed-upgrade") == "cluster-killed-from-0.18.4"


OBJECTS: list[Manifest] = [
    {"kind": "ValidatingWebhookConfiguration"},
    {"kind": "CustomResourceDefinition", "spec": "small"},
    {"kind": "CustomResourceDefinition", "spec": "the largest"},
    {"kind": "Namespace"},
]


@pytest.mark.parametrize(("share", "kinds"), [(0, "---"), (0.25, "1--"), (0.5, "11-"), (0.8, "12-"), (1, "121")])
def test_what_is_applied_of_manifests_comes_in_their_order(share: float, kinds: str) -> None:
    """Red when a share of them leaves out a definition and has the webhook that asks for it."""
    parts = in_order(OBJECTS, share)
    assert "".join(str(len(one) or "-") for one in parts) == kinds
    assert parts[1] == [OBJECTS[2], OBJECTS[1]][: len(parts[1])]
