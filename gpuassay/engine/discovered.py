"""What somebody's cluster is, told where a run on it is planned or begins."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.access.kubeconfig import given
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect
from gpuassay.discovery.discover import discover
from gpuassay.discovery.table import table
from gpuassay.engine.environment import Host
from gpuassay.record import rundir
from gpuassay.settings import Settings
from gpuassay.system import Rule, systems

RULES = (
    Rule("", "namespaces", "create get list watch patch delete"),
    Rule("", "pods", "create get list watch patch delete deletecollection"),
    Rule("batch", "jobs", "create get list watch patch delete deletecollection"),
    Rule("events.k8s.io", "events", "get list watch"),
    Rule("", "nodes", "get list"),
    Rule("", "serviceaccounts", "get"),
)
"""What every scenario uses; everything created carries the run's label. Systems add their own."""


def every_rule() -> Sequence[Rule]:
    """Permissions that scenarios of any system use, each once."""
    return list(dict.fromkeys((*RULES, *(rule for one in systems().values() for rule in one.rules))))


def tell(run: Host, api: Api) -> None:
    """Say what the cluster is, and keep it in `run.json` as `discovered`.

    Raises:
        ClusterError: the API server does not answer any more.
    """
    found = discover(api, every_rule())
    rundir.describe(run.directory, discovered=found.as_json())
    run.say("\n  ".join(["this cluster:", *table(found)]))


def cluster_lines(settings: Settings, rules: Sequence[Rule]) -> list[str]:
    """For `--plan`: the cluster that the settings name, and which of `rules` the caller lacks there."""
    if not settings.existing:
        return []
    kubeconfig = given(settings.kubeconfig)
    if kubeconfig is None:
        return ["the cluster is unknown: give --gpuassay-kubeconfig FILE"]
    try:
        api, chosen = connect(kubeconfig, settings.context)
    except ClusterError as error:
        return [f"the cluster is unknown: {error}"]
    try:
        return [f"the cluster of context {chosen}:", *(f"  {line}" for line in table(discover(api, rules)))]
    except ClusterError as error:
        return [f"the cluster is unknown: {error}"]
    finally:
        api.close()
