"""The environment on somebody else's cluster: touch only what carries the run's label, remove it, and prove that."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from gpuassay.access.kubeconfig import given
from gpuassay.cluster import base, leaks, pod_logs
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import existing
from gpuassay.engine import sight
from gpuassay.engine.discovered import tell
from gpuassay.engine.environment import Environment, Host, described
from gpuassay.engine.operating import Operation, Operator
from gpuassay.engine.pools import ClusterPool
from gpuassay.engine.provisioned import check, provisioned, withheld
from gpuassay.provision import options
from gpuassay.record.lines import LineIndex
from gpuassay.record.parts import Part
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, EXTRA_RESOURCES
from gpuassay.scenarios import mutants
from gpuassay.settings import Settings
from gpuassay.system import Open, systems
from gpuassay.toolchain import Assets
from gpuassay.waiting import resume

RECORDED = (*DEFAULT_RESOURCES, *(replace(one, optional=True) for one in EXTRA_RESOURCES))
"""What a cluster does not serve, or may not be read there, is only missing where a judge looks for it."""

WIDTH = 12
"""Scenarios at a time: most of one is waiting."""

SWEEP_SECONDS = 60.0
"""How long each kind of object may take to be gone: on a cluster with real kubelets pods take their time to end."""


def existing_environment(settings: Settings) -> Open:
    """How to open the environment on the cluster that the command line names; tries the connection at once.

    Raises:
        ClusterError: no kubeconfig given, the cluster cannot be used, or has no system to test; one line says why.
    """
    kubeconfig = given(settings.kubeconfig)
    if kubeconfig is None:
        raise ClusterError("--cluster existing needs --gpuassay-kubeconfig FILE, or KUBECONFIG in the environment")
    asked, brought = options.asked(settings), Assets.parse(settings.assets)
    detectors = [one.detect() for one in systems().values() if one.detect]
    with existing(
        directory=Path(),
        kubeconfig=kubeconfig,
        context=settings.context,
        allow_mutation=settings.may_change,
        detectors=detectors,
    ) as tried:
        context = tried.context  # the current one may be another before the run is over
        check(tried, asked, brought)
        installs = any(one.mode in (options.INSTALL, options.REINSTALL) for one in asked)
        if not installs and not tried.components:
            hidden = "; ".join(sight.unseen(tried.api, RECORDED, systems().values()).values())
            raise ClusterError(
                f"nothing that can be judged is installed on {tried.name}: install it, or let this run do so with "
                f"--kueue install, --device-plugin install ...{f'; or it is hidden: {hidden}' if hidden else ''}"
            )

    @contextmanager
    def environment(run: Host, pool: ClusterPool, assets: Assets) -> Generator[Environment]:
        del assets  # what is installed comes from images
        with ExitStack() as stack:
            run.say(f"using the cluster of {kubeconfig}")
            folder = run.directory / pool.name
            folder.mkdir(parents=True)
            cluster = stack.enter_context(
                existing(
                    directory=folder,
                    kubeconfig=kubeconfig,
                    context=context,
                    allow_mutation=settings.may_change,
                    detectors=detectors,
                )
            )
            tell(run, cluster.api)
            cluster.capabilities -= withheld(asked)
            stack.enter_context(provisioned(run, cluster, asked, brought))
            unseen = sight.unseen(cluster.api, RECORDED, systems().values())
            logs = _follow_logs(stack, cluster, run, folder)
            operators = _operators(stack, cluster, run, logs, consent=settings.may_change)
            view = stack.enter_context(
                live_recorder(cluster.kubeconfig, folder / "spool", resources=RECORDED, context=context)
            )
            stack.enter_context(described(run, cluster, "existing", cluster.description, cluster.capabilities))
            stack.callback(_clean, cluster, run)
            yield Environment(
                run_id=run.directory.name,
                cluster=cluster,
                view=view,
                capabilities=cluster.capabilities,
                mutant=mutants.chosen(run.mutant),
                logs=logs,
                ours=False,
                image=settings.image,
                operators=operators,
                unseen=unseen,
            )

    return environment


def _follow_logs(stack: ExitStack, cluster: base.Cluster, run: Host, folder: Path) -> dict[Part, LineIndex]:
    """Read along what systems say of their decisions, as far as their pods' logs are ours to read."""
    found: dict[Part, LineIndex] = {}
    for system in systems().values():
        if system.name not in {one.name for one in cluster.components}:
            continue
        for log in system.pod_logs:
            if reason := pod_logs.unreadable(cluster.api, log.namespace, log.selector):
                run.say(f"the log of {system.name} cannot be read ({reason}): what only it tells is not judged")
                continue
            file = folder / f"log-{system.name}.jsonl"
            stack.enter_context(pod_logs.followed(cluster.api, log.namespace, log.selector, file))
            found[log.part] = LineIndex(file, run.directory)
    return found


def _operators(
    stack: ExitStack, cluster: base.Cluster, run: Host, logs: Collection[Part], *, consent: bool
) -> list[Operator]:
    """Whoever may change systems here; the cluster gets the capabilities that come with them."""
    there = {one.name for one in cluster.components}
    found: list[Operator] = []
    for system in systems().values():
        if system.operate and system.name in there and system.needs <= cluster.capabilities:
            read = any(log.part in logs for log in system.pod_logs)
            operation = Operation(cluster, run.directory.name, consent, read, run.say)
            found.append(stack.enter_context(system.operate(operation)))
            cluster.capabilities |= found[-1].capabilities
    return found


def _clean(cluster: base.Cluster, run: Host) -> None:
    """Remove everything that carries the run's label; what stays is written to `leaks.txt` and fails the run."""
    run.say("removing everything that this run created")
    resume()  # a run that was broken off cleans up as any other
    left = leaks.sweep(cluster.api, run.directory.name, SWEEP_SECONDS)
    if left:
        (run.directory / "leaks.txt").write_text("\n".join(left) + "\n")
