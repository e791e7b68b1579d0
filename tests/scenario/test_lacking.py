"""What is skipped for want of a program says how the program is had. No cluster is started."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from gpuassay.engine.environment import Environment
from gpuassay.engine.provider import provider_for
from gpuassay.engine.runner import Runner
from gpuassay.record.recording import Recording
from gpuassay.scenarios.declare import Scenario
from gpuassay.settings import Settings
from gpuassay.toolchain import ToolchainError, UnobtainableError


@pytest.mark.parametrize(
    ("need", "words"),
    [
        ("program:das", "supplied by you: --asset das=DIR with das-{operator,scheduler,webhook,daemonset}"),
        ("program:nvidia-dra", "python -m gpuassay build nvidia-dra"),
        ("vllm", "--asset vllm=DIR"),
        ("gpu-load", "a PodTemplate with the label gpuassay.io/gpu-load=true"),
    ],
)
def test_a_skip_says_how_the_program_is_had(tmp_path: Path, need: str, words: str) -> None:
    """Red when a scenario without its program runs, or its skip does not say what to do about it."""

    def act(_: object) -> None:
        raise AssertionError("it was acted out")

    def lacking(one: Scenario) -> frozenset[str]:
        return one.needs

    environment = cast("Environment", SimpleNamespace(lacking=lacking, collapsed=threading.Event(), unseen={}))
    one = Scenario("s", cast("Any", act), "slices", "default", "", frozenset({need}), 60, __name__)
    outcomes: list[str] = []

    def done(_: Scenario, outcome: str) -> None:
        outcomes.append(outcome)

    Runner(environment, tmp_path, threading.Event(), done, print, 1).act_all([one])
    meta = Recording.load(tmp_path / "recordings" / "s").meta
    assert (meta.outcome, outcomes) == ("skip", ["skip"])
    assert meta.error.startswith(f"the cluster lacks: {need} (")
    assert words in meta.error


def test_what_cannot_be_had_while_a_scenario_runs_is_a_skip(tmp_path: Path) -> None:
    """Red when a scenario that finds no C compiler, or no modules, is told as broken."""

    def act(_: object) -> None:
        raise UnobtainableError("the fake GPU library is built with a C compiler and there is no cc")

    environment = Mock(collapsed=threading.Event(), lacking=Mock(return_value=frozenset[str]()), unseen={})
    environment.set_profile.return_value = environment.broken.return_value = None
    environment.positions.return_value, environment.lines.return_value = {}, {}
    environment.beside.return_value = []
    environment.view.gaps.return_value = environment.view.lines.return_value = ()
    environment.lab.return_value = Mock(
        notes={}, token="t", parts={}, **dict.fromkeys(("namespaces", "asked", "samples"), ())
    )
    one = Scenario("s", cast("Any", act), "slices", "default", "", frozenset(), 60, __name__)
    Runner(environment, tmp_path, threading.Event(), Mock(), print, 1).act_all([one])
    meta = Recording.load(tmp_path / "recordings" / "s").meta
    assert meta.outcome == "skip"
    assert meta.error == "the cluster lacks: the fake GPU library is built with a C compiler and there is no cc"


@pytest.mark.parametrize(
    ("name", "words"), [("das", "das-operator, das-scheduler, das-webhook, das-daemonset"), ("kwok", "kwok")]
)
def test_a_directory_that_lacks_programs_is_refused_before_anything(tmp_path: Path, name: str, words: str) -> None:
    """Red when an incomplete directory is found out by each scenario, after a cluster was started."""
    settings = Settings(assets=[f"{name}={tmp_path}"])
    with pytest.raises(ToolchainError, match=rf"--asset {name}.*{words}.* missing"):
        provider_for(settings)
