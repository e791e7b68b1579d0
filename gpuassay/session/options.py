"""The command line: what a run is asked for. The names of most options begin with ours, so that none clashes."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

import pytest

from gpuassay.arguments import path, text
from gpuassay.provision import options as components
from gpuassay.settings import Settings
from gpuassay.system import systems

PROMETHEUS_TOKEN = "GPUASSAY_PROMETHEUS_TOKEN"
"""Environment variable with a bearer token for the Prometheus; in no file and no message."""


def _base_url(word: str) -> str:
    given = text(word).rstrip("/")
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError("give the base URL of a Prometheus, such as http://127.0.0.1:9090")
    if parts.username or parts.password:
        raise argparse.ArgumentTypeError(f"a URL is kept in files: give the token in ${PROMETHEUS_TOKEN} instead")
    return given


def add_options(group: pytest.OptionGroup) -> None:
    """Our options; all but `--cluster`, `--replay`, `--mutant`, `--full`, `--plan` and `--asset` carry our prefix."""
    group.addoption(
        "--cluster", choices=("embedded", "existing", "kind"), default="embedded", help="what to test against"
    )
    group.addoption("--kind-node-image", metavar="IMAGE", type=text, help="--cluster kind: image of its nodes")
    group.addoption("--kind-config", metavar="FILE", type=path, help="--cluster kind: its configuration")
    group.addoption(
        "--kind-load", metavar="ARCHIVE", action="append", default=[], type=path,
        help="--cluster kind: load an archive of images onto its nodes",
    )  # fmt: skip
    group.addoption(
        "--gpuassay-kubeconfig",
        metavar="FILE",
        type=path,
        help="kubeconfig of the existing cluster; several as FILE:FILE, in-cluster in a pod (default: $KUBECONFIG)",
    )
    group.addoption(
        "--gpuassay-context", metavar="NAME", type=text, help="context in it (default: its current context)"
    )
    components.add_options(group)
    group.addoption(
        "--gpuassay-image",
        metavar="IMAGE",
        type=text,
        default=IMAGE,
        help="existing cluster: image with a shell for jobs",
    )
    group.addoption(
        "--allow-cluster-mutation", action="store_true", help="existing cluster: may change cluster-wide configuration"
    )
    group.addoption(
        "--prometheus",
        metavar="URL",
        type=_base_url,
        help="existing cluster: a Prometheus that knows its GPUs (DCGM) and workers; it is read for measurements "
        f"(${PROMETHEUS_TOKEN}: a bearer token)",
    )
    for one in systems().values():
        if one.add_options:
            one.add_options(group)
    group.addoption(
        "--replay", metavar="RUN", type=path, help="judge a stored run (directory or .tar.xz) without any cluster"
    )
    group.addoption(
        "--resume", metavar="RUN", type=path,
        help="go on with a run that was broken off: what it recorded to the end is judged, the rest is acted out",
    )  # fmt: skip
    group.addoption(
        "--no-recorded",
        action="store_true",
        help="skip what cannot be had here, instead of judging recordings of it that come with the library",
    )
    group.addoption(
        "--mutant", metavar="NAME", type=text, help="break the system under test by name; behaviours must go red"
    )
    group.addoption("--full", action="store_true", help="long versions of measurements")
    group.addoption("--plan", action="store_true", help="say what would run and what it needs; run nothing")
    group.addoption(
        "--asset",
        action="append",
        default=[],
        metavar="NAME=DIR|NAME@VERSION",
        type=text,
        help="take a component's programs from a directory, or build another version of it than the suite's own",
    )
    group.addoption(
        "--build",
        action="append",
        default=[],
        metavar="NAME",
        type=text,
        help="embedded cluster: build this component or group (slices, routing, ..) too, where scenarios need it",
    )
    group.addoption(
        "--upstream-junit",
        action="append",
        default=[],
        metavar="NAME@VERSION=FILE",
        type=text,
        help="import another suite's JUnit file: its verdicts stand in the report as that suite's own",
    )
    group.addoption("--run-dir", metavar="DIR", type=path, help="where runs are kept (default: reports/runs)")


IMAGE = "busybox:1.37"
"""With a shell, for jobs on an existing cluster."""

OF_EXISTING = (
    "gpuassay_kubeconfig",
    "gpuassay_context",
    "gpuassay_image",
    "allow_cluster_mutation",
    "prometheus",
)
"""Options that say something of an existing cluster."""

OF_KIND = ("kind_node_image", "kind_config", "kind_load")
"""Options that say something of a cluster that kind makes."""

NOT_OF_KIND = ("gpuassay_kubeconfig", "gpuassay_context", "allow_cluster_mutation")
"""Options that such a cluster leaves no choice in."""

OF_LIVE = ("mutant", "full", "asset", "resume", *OF_EXISTING, *OF_KIND)
"""Options that change what is acted out: a replay acts nothing out. `--build` is "where scenarios need it" anyway."""


def refuse_contradictions(option: argparse.Namespace) -> None:
    """An option without effect is told, not dropped: whoever gave it would read the result as another's.

    Raises:
        pytest.UsageError: two options contradict each other; one line says which, and what to do.
    """
    given = [name for name in OF_LIVE if _given(option, name)]
    if option.replay:
        idle = [*([f"--cluster {option.cluster}"] if option.cluster != "embedded" else []), *map(_flag, given)]
        if idle:
            _refuse(f"--replay judges what a run has recorded, nothing is acted out: leave out {', '.join(idle)}")
    try:
        components.asked(Settings.of(option))
    except components.ComponentOptionError as error:
        _refuse(str(error))
    elsewhere = [_flag(name) for name in given if name in OF_EXISTING]
    if option.cluster == "embedded" and elsewhere:
        _refuse(f"{', '.join(elsewhere)}: only with --cluster existing; without it the run has a cluster of its own")
    if option.cluster != "kind" and (elsewhere := [_flag(name) for name in given if name in OF_KIND]):
        _refuse(f"{', '.join(elsewhere)}: only with --cluster kind")
    if option.cluster == "kind" and (elsewhere := [_flag(name) for name in given if name in NOT_OF_KIND]):
        _refuse(f"{', '.join(elsewhere)}: --cluster kind makes a cluster of its own; leave it out")
    if _value(option, "setuponly") and not _value(option, "setupplan"):
        _refuse("--setup-only runs no test, so nothing would be judged: --setup-plan or --plan say what would run")
    workers = _value(option, "numprocesses")
    if isinstance(workers, int) and workers < 0:
        _refuse(f"-n {workers}: the number of workers is 0 or more")


def _value(option: argparse.Namespace, name: str) -> object:
    """None where the plugin that has the option is switched off."""
    return getattr(option, name, None)


def _given(option: argparse.Namespace, name: str) -> bool:
    value = _value(option, name)
    return bool(value) and not (name == "gpuassay_image" and value == IMAGE)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _refuse(line: str) -> None:
    raise pytest.UsageError(f"gpuassay: {line}")
