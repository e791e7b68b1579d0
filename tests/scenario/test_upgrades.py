"""Which upgrades are acted out: what would be a downgrade is skipped by type, with its source."""

from __future__ import annotations

import pytest

from gpuassay.engine.pools import Unavailable
from gpuassay.system import pool
from gpuassay.systems.kueue import system
from gpuassay.systems.kueue.environment import refuse_downgrade
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
    names = [one.name for one in system.UPGRADES.values()]
    assert len(set(names)) == len(names) >= 4
    assert {"cluster-from-0.18.4", "cluster-kubernetes-1.37.1"} <= set(names)
    assert pool("cluster-kubernetes-1.37.1").extra == ("controlplane@1.37.1",)
