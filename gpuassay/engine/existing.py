"""The stage on somebody else's cluster: touch only what carries the run's label, remove it, and prove that."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from gpuassay.cluster import base, leaks
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import existing
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import Lane
from gpuassay.record.process import live_recorder
from gpuassay.scenario import mutants
from gpuassay.systems.gpu_operator import component as gpu_operator
from gpuassay.systems.kueue import component as kueue
from gpuassay.wait import resume

SWEEP_SECONDS = 60.0
"""How long each kind of object may take to be gone: on a cluster with real kubelets pods take their time to end."""


def existing_stage(option: argparse.Namespace) -> Callable[[Host, Lane], AbstractContextManager[Stage]]:
    """How to open the stage on the cluster that the command line names; tries the connection at once.

    Raises:
        ClusterError: no kubeconfig given, the cluster cannot be used, or has no Kueue; one line says why.
    """
    if not option.gpuassay_kubeconfig:
        raise ClusterError("--cluster existing needs --gpuassay-kubeconfig FILE")
    if option.install_kueue and not option.allow_cluster_mutation:
        raise ClusterError("--install-kueue changes the whole cluster: add --allow-cluster-mutation")
    if option.gpu_operator_values and not option.install_gpu_operator:
        raise ClusterError("--gpu-operator-values needs also --install-gpu-operator CHART")
    kubeconfig = Path(option.gpuassay_kubeconfig).expanduser()
    with existing(
        directory=Path(),
        kubeconfig=kubeconfig,
        context=option.gpuassay_context,
        allow_mutation=option.allow_cluster_mutation,
    ) as tried:
        if option.install_gpu_operator:
            gpu_operator.check(tried)
        elif not tried.capabilities & {base.KUEUE, base.GPU_OPERATOR} and not option.install_kueue:
            raise ClusterError(f"Kueue is not installed on {tried.name}: install it, or add --install-kueue IMAGE")

    @contextmanager
    def stage(run: Host, lane: Lane) -> Generator[Stage]:
        with ExitStack() as stack:
            run.say(f"using the cluster of {kubeconfig}")
            folder = run.directory / lane.name
            folder.mkdir(parents=True)
            cluster = stack.enter_context(
                existing(
                    directory=folder,
                    kubeconfig=kubeconfig,
                    context=option.gpuassay_context,
                    allow_mutation=option.allow_cluster_mutation,
                )
            )
            if option.install_kueue:
                run.say(f"installing Kueue with image {option.install_kueue}")
                stack.enter_context(kueue.deployed(cluster, option.install_kueue))
            if option.install_gpu_operator:
                run.say(f"installing the GPU Operator from {option.install_gpu_operator}")
                values = option.gpu_operator_values
                stack.enter_context(gpu_operator.deployed(cluster, option.install_gpu_operator, values))
            view = stack.enter_context(
                live_recorder(cluster.kubeconfig, folder / "spool", context=option.gpuassay_context)
            )
            stack.enter_context(described(run, cluster, "existing", cluster.description, cluster.capabilities))
            stack.callback(_clean, cluster, run)
            yield Stage(
                run_id=run.directory.name,
                cluster=cluster,
                view=view,
                capabilities=cluster.capabilities,
                mutant=mutants.chosen(run.mutant),
                ours=False,
                image=option.gpuassay_image,
            )

    return stage


def _clean(cluster: base.Cluster, run: Host) -> None:
    """Remove everything that carries the run's label; what stays is written to `leaks.txt` and fails the run."""
    run.say("removing everything that this run created")
    resume()  # a run that was broken off cleans up as any other
    left = leaks.sweep(cluster.api, run.directory.name, SWEEP_SECONDS)
    if left:
        (run.directory / "leaks.txt").write_text("\n".join(left) + "\n")
