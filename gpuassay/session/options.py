"""The command line: what a run is asked for. The names of most options begin with ours, so that none clashes."""

from __future__ import annotations

import pytest

from gpuassay.system import systems


def add_options(group: pytest.OptionGroup) -> None:
    """Our options; all but `--cluster`, `--replay`, `--mutant`, `--full`, `--plan` and `--asset` carry our prefix."""
    group.addoption("--cluster", choices=("embedded", "existing"), default="embedded", help="what to test against")
    group.addoption(
        "--gpuassay-kubeconfig",
        metavar="FILE",
        help="kubeconfig of the existing cluster; several as FILE:FILE, in-cluster in a pod (default: $KUBECONFIG)",
    )
    group.addoption("--gpuassay-context", metavar="NAME", help="context in it (default: its current context)")
    group.addoption(
        "--install-kueue",
        metavar="IMAGE",
        help="existing cluster: install upstream's manifests with this manager image",
    )
    group.addoption(
        "--install-gpu-operator",
        metavar="CHART",
        help="existing cluster: install NVIDIA's GPU Operator from this chart by your `helm`; removed afterwards",
    )
    group.addoption("--gpu-operator-values", metavar="FILE", help="values for that chart, as helm takes them")
    group.addoption(
        "--gpuassay-image",
        metavar="IMAGE",
        default="busybox:1.37",
        help="existing cluster: image with a shell for jobs",
    )
    group.addoption(
        "--allow-cluster-mutation", action="store_true", help="existing cluster: may change cluster-wide configuration"
    )
    for one in systems().values():
        if one.add_options:
            one.add_options(group)
    group.addoption("--replay", metavar="RUN", help="judge a stored run (directory or .tar.xz) without any cluster")
    group.addoption(
        "--no-recorded",
        action="store_true",
        help="skip what cannot be had here, instead of judging recordings of it that come with the library",
    )
    group.addoption("--mutant", metavar="NAME", help="break the system under test by name; behaviours must go red")
    group.addoption("--full", action="store_true", help="long versions of measurements")
    group.addoption("--plan", action="store_true", help="say what would run and what it needs; run nothing")
    group.addoption(
        "--asset", action="append", default=[], metavar="NAME=DIR", help="take a component's programs from a directory"
    )
    group.addoption(
        "--build",
        action="append",
        default=[],
        metavar="NAME",
        help="embedded cluster: build this component or group (slices, routing, ..) too, where scenarios need it",
    )
    group.addoption(
        "--upstream-junit",
        action="append",
        default=[],
        metavar="NAME@VERSION=FILE",
        help="import another suite's JUnit file: its verdicts stand in the report as that suite's own",
    )
    group.addoption("--run-dir", metavar="DIR", help="where runs are kept (default: reports/runs)")
