"""Five accounts of the slices: what agrees is silent, and each account that is doctored is found by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gpuassay.systems.slices.judge.accounts import differences, findings, left
from gpuassay.systems.slices.notes import Accounts, Claimed, Contained
from tests.judge.test_slices_rest import recording

A, B = "MIG-a", "MIG-b"
DRA = Accounts(
    pods={"p": "Running", "q": "Running", "r": "Running", "w": "Pending"},
    claims={"c": Claimed("one", ["p"], [A], True), "d": Claimed("both", ["q", "r"], [B], True)},
    driver={"c": [A], "d": [B]},
    cdi={"c": [A], "d": [B]},
    silicon=[A, B],
    containers=[
        Contained("p", "p", "main", [A], 1),
        Contained("q", "q", "main", [B], 2),
        Contained("r", "r", "main", [B], 1),
        Contained("p", "p", "before", [A], 0),
    ],
)
PLUGIN = Accounts(
    pods={"p": "Running", "q": "Running", "done": "Succeeded"},
    claims={},
    driver={"p": [A], "q": [B], "done": [A], "gone": [B]},
    cdi=None,
    silicon=[A, B, "GPU-0"],
    containers=[Contained("p", "p", "main", [A], 1), Contained("q", "q", "main", [B], 1)],
)


def changed(accounts: Accounts, **fields: Any) -> Accounts:
    return msgspec.structs.replace(accounts, **fields)


def test_accounts_that_agree_are_silent() -> None:
    """Red when claims of one pod or two, ended init containers, late books of ended pods or shares are reported."""
    assert differences(DRA, "dra") == []
    assert differences(PLUGIN, "device-plugin") == []
    shares = changed(
        PLUGIN, driver={"p": [f"{A}::0"], "q": [f"{A}::1"]}, silicon=[A],
        containers=[Contained(one, one, "main", [A], 1) for one in ("p", "q")],
    )  # fmt: skip
    assert differences(shares, "device-plugin") == []


DOCTORED: list[tuple[Callable[[], Accounts], str]] = [
    (lambda: changed(DRA, driver={"c": [A]}), "the API and the driver's checkpoint differ on claim d"),
    (lambda: changed(DRA, driver={**DRA.driver, "x": [A]}), "the API and the driver's checkpoint differ on claim x"),
    (lambda: changed(DRA, driver={**DRA.driver, "x": [A]}), "checkpoint has MIG-a for 2 claims"),
    (lambda: changed(DRA, cdi={"c": [B], "d": [B]}), "checkpoint and CDI files differ on claim c: MIG-a and MIG-b"),
    (lambda: changed(DRA, cdi={**DRA.driver, "x": [A]}), "checkpoint and CDI files differ on claim x: nothing"),
    (lambda: changed(DRA, silicon=[A]), "the driver's checkpoint has MIG-b, the silicon has not"),
    (lambda: changed(DRA, silicon=[A, B, "bare"]), "the silicon has bare, the driver's checkpoint has not"),
    (lambda: changed(DRA, pods={"p": "Running", "r": "Running"}), "still runs on MIG-b: the API has no such pod"),
    (lambda: changed(DRA, pods={"p": "Running", "r": "Running"}), "claim both is reserved for a pod q"),
    (lambda: changed(DRA, pods={**DRA.pods, "p": "Failed"}), "still runs on MIG-a: the API says that its pod has"),
    (lambda: changed(DRA, containers=DRA.containers[:2]), "pod r runs by the API, and no live container on the node"),
    (
        lambda: changed(DRA, containers=[*DRA.containers, Contained("w", "w", "main", [B], 1)]),
        "container main of pod w (w) has MIG-b, which the books give to others or nobody",
    ),
    (
        lambda: changed(DRA, containers=[*DRA.containers, Contained("w", "w", "main", [B], 1)]),
        "live containers of pods q and w both have MIG-b",
    ),
    (
        lambda: changed(DRA, containers=[*DRA.containers, Contained("", "", "0abc", [], 1)]),
        "container 0abc of pod  () still runs on nothing: the API has no such pod",
    ),
    (
        lambda: changed(DRA, claims={**DRA.claims, "c": Claimed("one", ["p"], [A], False)}),
        "claim one holds a device that no complete pool of ResourceSlices has",
    ),
    (
        lambda: changed(DRA, claims={**DRA.claims, "c": Claimed("one", [], [A], True)}),
        "claim one holds MIG-a and is reserved for nobody",
    ),
]
DOCTORED_PLUGIN: list[tuple[Accounts, str]] = [
    (changed(PLUGIN, driver={"p": [A], "q": [A]}), "the kubelet gives MIG-a to 2 pods"),
    (changed(PLUGIN, silicon=[A]), "the kubelet gives out MIG-b, which does not exist"),
    (changed(PLUGIN, pods={"p": "Running"}), "still runs on MIG-b: the API has no such pod"),
    (changed(PLUGIN, containers=PLUGIN.containers[:1]), "pod q runs by the API"),
    (
        changed(PLUGIN, containers=[Contained(one, one, "main", [A], 1) for one in ("p", "q")]),
        "live containers of pods p and q both have MIG-a",
    ),
    (
        changed(PLUGIN, containers=[*PLUGIN.containers, Contained("done", "done", "main", [A], 1)]),
        "the API says that its pod has ended",
    ),
]


@pytest.mark.parametrize(("doctored", "words"), DOCTORED)
def test_an_account_on_demand_that_differs_is_found(doctored: Callable[[], Accounts], words: str) -> None:
    """Red when one of the five accounts can lie unseen."""
    found = differences(doctored(), "dra")
    assert any(words in one for one in found), found


@pytest.mark.parametrize(("doctored", "words"), DOCTORED_PLUGIN)
def test_an_account_of_the_device_plugin_that_differs_is_found(doctored: Accounts, words: str) -> None:
    """The same of slices that were cut beforehand."""
    found = differences(doctored, "device-plugin")
    assert any(words in one for one in found), found


def test_what_the_last_pod_leaves_is_found() -> None:
    """Red when a slice that is left, or lost, by the last pod goes unseen."""
    assert left(DRA, DRA) == []
    assert left(DRA, changed(DRA, silicon=[B])) == ["slice MIG-a is gone from the silicon"]
    assert left(changed(DRA, silicon=[]), changed(DRA, silicon=[B])) == ["slice MIG-b is left in the silicon"]


def test_every_moment_of_a_recording_is_judged() -> None:
    """Red when only the last moment is looked at, the first state is forgotten, or a reboot's new slices are blamed."""
    empty = changed(PLUGIN, pods={}, driver={}, containers=[])
    assert findings(recording("device-plugin")) == []
    taken = {"begin": empty, "held": changed(PLUGIN, pods={}), "end": changed(empty, silicon=["GPU-0", A])}
    rows = {label: msgspec.to_builtins(one) for label, one in taken.items()}
    told = findings(recording("device-plugin", accounts=rows))
    assert any(one.startswith("at 'held': ") and "no such pod" in one for one in told), told
    assert "at 'end': slice MIG-b is gone from the silicon" in told
    rebooted = recording("device-plugin", accounts=rows, marks={"reboot": 1})
    assert "at 'end': slice MIG-b is gone from the silicon" not in findings(rebooted)
