"""Judges of DAS's claims and of its webhook, on recordings made by hand: each rule is broken once and must be found."""

from __future__ import annotations

import copy

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge import das as slices_das
from gpuassay.systems.slices.readings import SlicesRecording

LAWFUL = ("", "", "staged", "created", "created", "processing", "inUse")


def claim(at: int, state: str, *, pod: str = "p", gone: bool = False) -> Manifest:
    """A version of the claim `c` of a pod."""
    shown: Manifest = {
        "apiVersion": "inference.redhat.com/v1alpha1", "kind": "AllocationClaim",
        "metadata": {"name": "c", "namespace": "das-operator", "uid": "c", "resourceVersion": str(at)},
        "spec": {"podRef": {"name": pod}, "profile": "1g.5gb"}, "status": {"state": state} if state else {},
    }  # fmt: skip
    return {"at": at, "type": "DELETED" if gone else "MODIFIED", "object": shown}


def recording(*states: str, gone: bool = False) -> SlicesRecording:
    """A recording in which the claim goes through `states`, and is then deleted if `gone`."""
    events = [claim(at, state) for at, state in enumerate(states, 1)]
    if gone:
        events.append(claim(len(states) + 1, states[-1], gone=True))
    return SlicesRecording.of_parts(RecordingMeta(scenario="s", ended_ns=100), events=events)


def test_a_lawful_claim_has_no_findings() -> None:
    """Red when the order of DAS's states is not the one that is told, or a repeated state is taken for a step."""
    assert slices_das.order_findings(recording(*LAWFUL), "p") == []
    assert slices_das.claims_of(recording(*LAWFUL), "p") == {"c": list(slices_das.STATES)}


def test_a_missing_claim_is_found() -> None:
    """Red when a pod without a claim passes for one whose claims are in order."""
    assert slices_das.order_findings(recording(*LAWFUL), "other") == ["pod other has no claim"]


def test_a_state_that_is_skipped_repeated_or_unknown_is_found() -> None:
    """Red when a claim may go from created to inUse, back, or to a state that DAS does not have."""
    assert slices_das.order_findings(recording("staged", "created", "inUse"), "p") == [
        "claim c goes from created to inUse"
    ]
    back = slices_das.order_findings(recording(*LAWFUL, "created"), "p")
    assert back == ["claim c goes from inUse to created", "claim c ends as created, not in use"]
    assert "claim c is in the unknown state 'lost'" in slices_das.order_findings(recording(*LAWFUL, "lost"), "p")


def test_a_claim_that_never_comes_into_use_is_found() -> None:
    """Red when a claim may stay in processing."""
    assert slices_das.order_findings(recording(*LAWFUL[:-1]), "p") == ["claim c ends as processing, not in use"]


def test_the_end_of_a_claim_is_told() -> None:
    """Red when a claim that is there counts as deleted, or the other way round."""
    assert slices_das.gone_at(recording(*LAWFUL), "p") == [None]
    assert slices_das.gone_at(recording(*LAWFUL, gone=True), "p") == [len(LAWFUL) + 1]


def _pods() -> tuple[Manifest, Manifest]:
    asked: Manifest = {"spec": {"containers": [
        {"name": "main", "resources": {"limits": {"nvidia.com/mig-1g.5gb": "2", "cpu": "1"}}}, {"name": "side"},
    ]}}  # fmt: skip
    made = {"mig.das.com/1g.5gb": "2", "cpu": "1"}
    stored: Manifest = {"spec": {
        "schedulerName": "das-scheduler", "runtimeClassName": "nvidia-legacy",
        "containers": [{"name": "main", "resources": {"limits": made, "requests": dict(made)}}, {"name": "side"}],
    }}  # fmt: skip
    return asked, stored


def test_a_pod_that_was_renamed_has_no_findings() -> None:
    """Red when what DAS's webhook must make of a pod is reported, or a container without slices is touched."""
    assert slices_das.renaming_findings(*_pods()) == []


def test_whatever_was_not_renamed_is_found() -> None:
    """Red when a limit, a request, the scheduler or the RuntimeClass may stay as it was."""
    asked, stored = _pods()
    untouched = slices_das.renaming_findings(asked, asked)
    assert [one.split(":")[0] for one in untouched] == [
        "limits of main", "requests of main", "schedulerName", "runtimeClassName",
    ]  # fmt: skip
    for field in ("schedulerName", "runtimeClassName"):
        other = copy.deepcopy(stored)
        other["spec"][field] = "another"
        assert [one.split(":")[0] for one in slices_das.renaming_findings(asked, other)] == [field]
    lost = copy.deepcopy(stored)
    del lost["spec"]["containers"][0]["resources"]["requests"]
    assert len(slices_das.renaming_findings(asked, lost)) == 1
