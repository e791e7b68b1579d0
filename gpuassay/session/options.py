"""The command line: what a run is asked for. The names of most options begin with ours, so that none clashes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpuassay.systems.llmd.existing import options as gateway_options


def add_options(group: pytest.OptionGroup) -> None:
    """Our options; all but `--cluster`, `--replay`, `--mutant`, `--full`, `--plan` and `--asset` carry our prefix."""
    group.addoption("--cluster", choices=("embedded", "existing"), default="embedded", help="what to test against")
    group.addoption("--gpuassay-kubeconfig", metavar="FILE", help="kubeconfig of the existing cluster")
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
    gateway_options.add_options(group)
    group.addoption("--prompts", metavar="FILE", help="your own prompts (.csv, .jsonl) for Figures 6, 7 and gateways")
    group.addoption("--replay", metavar="RUN", help="judge a stored run (directory or .tar.xz) without any cluster")
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


def take_prompts(file: str | None) -> None:
    """Hand the user's own prompts to the workloads; None takes back those of an earlier run in this process."""
    if file is not None or "gpuassay.systems.llmd.objects.prompt_files" in sys.modules:
        from gpuassay.systems.llmd.objects import prompt_files  # only where they are asked for

        prompt_files.give(None if file is None else Path(file))
