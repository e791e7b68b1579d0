"""What the commands make of what goes wrong: one line each, and nothing that was begun stays."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import gpuassay.cluster.existing
import gpuassay.provision.install
import gpuassay.provision.inventory
import gpuassay.provision.remove
from gpuassay.cluster.errors import ClusterError
from gpuassay.commands import provision as command
from gpuassay.provision.component import Provided, Wish
from gpuassay.provision.install import Target
from gpuassay.provision.plan import Wanted
from gpuassay.provision.remove import Removal
from gpuassay.waiting import WaitTimeout

ONE = cast("Provided", SimpleNamespace(name="kueue", title="Kueue"))


def raising(error: Exception) -> Any:
    def it(*_: object, **__: object) -> None:
        raise error

    return it


def always(value: object) -> Any:
    def it(*_: object, **__: object) -> object:
        return value

    return it


def test_what_is_waited_for_in_vain_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when pods that do not end are told by a traceback."""

    @contextmanager
    def existing(**_: object) -> Generator[Any]:
        yield SimpleNamespace(api=SimpleNamespace(connection=None))

    monkeypatch.setattr(gpuassay.cluster.existing, "existing", existing)
    monkeypatch.setattr(gpuassay.cluster.existing, "require", Path)
    options = argparse.Namespace(kubeconfig="somewhere", context=None)
    with pytest.raises(ClusterError, match="pods to end: not within 1 s"), command.site(options):
        raise WaitTimeout("pods to end", 1, ["one"])


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Target:
    """A place where every installation fails half way, and its removal succeeds."""
    noted = SimpleNamespace(run="mine")
    monkeypatch.setattr(gpuassay.provision.install, "install", raising(ClusterError("no image")))
    monkeypatch.setattr(gpuassay.provision.inventory, "read", always(noted))
    monkeypatch.setattr(gpuassay.provision.remove, "remove", always(Removal()))
    return cast("Target", SimpleNamespace(run="mine", cluster=SimpleNamespace(api=None)))


def failed(at: Target, *, keep: bool = False) -> str:
    with pytest.raises(ClusterError) as error:
        command._installed(at, Wanted(ONE, Wish()), keep=keep)  # pyright: ignore[reportPrivateUsage]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_does_not_come_to_work_is_taken_away(at: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when half an installation stays without a word, or the reason of its failure is lost."""
    assert failed(at) == "no image"
    assert failed(at, keep=True) == "no image; gpuassay remove kueue takes away what was begun"
    monkeypatch.setattr(gpuassay.provision.remove, "remove", always(Removal(differences=["Lease a is still there"])))
    assert failed(at) == "no image; left: Lease a is still there"
    monkeypatch.setattr(gpuassay.provision.remove, "remove", raising(ClusterError("it hangs")))
    assert failed(at).endswith("gpuassay remove kueue takes away what was begun, which failed just now: it hangs")


def test_what_another_run_has_begun_stays(at: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the second of two installations takes away the first one's."""
    monkeypatch.setattr(gpuassay.provision.inventory, "read", always(SimpleNamespace(run="another")))
    monkeypatch.setattr(gpuassay.provision.remove, "remove", raising(AssertionError()))
    assert failed(at) == "no image"
