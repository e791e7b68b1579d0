"""Judges of slices on somebody's node, where only containers and the API tell: each rule is broken once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge import at_rest, invariants, observed, told, words
from gpuassay.systems.slices.notes import Grant
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.verdict import Inconclusive

SECOND = 1_000_000_000
Slots = Sequence[tuple[str, str]]
SMI = """
sum=42
NVIDIA_VISIBLE_DEVICES=void
nvidia-cap12
nvidia-cap13
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 1g.5gb+me    Device  0: (UUID: MIG-b1)
  MIG 2g.10gb      Device  1: (UUID: MIG-b2)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
.
"""


def test_the_drivers_word_comes_first() -> None:
    """Red when a slice, its profile, its GPU or a GPU without slices is read wrongly."""
    assert words.grants(SMI) == [
        Grant("GPU-bb", "gpu", "GPU-bb", "nvidia-smi"),
        Grant("MIG-b1", "1g.5gb+me", "GPU-aa", "nvidia-smi"),
        Grant("MIG-b2", "2g.10gb", "GPU-aa", "nvidia-smi"),
    ]
    assert words.computed(SMI) == 42 and words.computed("\n.\n") is None


def test_without_a_driver_the_environment_counts_and_then_device_nodes() -> None:
    """Red when `void` or `all` are taken for devices, or a container's own name for one is lost."""
    assert [one.uuid for one in words.grants("\nNVIDIA_VISIBLE_DEVICES=MIG-2,MIG-1\n.\n")] == ["MIG-1", "MIG-2"]
    assert words.grants("\nNVIDIA_VISIBLE_DEVICES=all\n.\n") == []
    found = words.grants("\nNVIDIA_VISIBLE_DEVICES=void\nnvidia-cap12\nnvidia-cap13\n.\n")
    assert [(one.uuid, one.source) for one in found] == [("instance 1 of GPU 0", "device nodes")]


def test_a_container_that_is_named_what_it_does_not_see_contradicts_itself() -> None:
    said = SMI.replace("=void", "=MIG-b1,MIG-zz")
    assert words.contradictions(said) == ["was named MIG-zz, and nvidia-smi shows no such device"]
    assert words.contradictions(SMI) == words.contradictions("\nNVIDIA_VISIBLE_DEVICES=MIG-1\n.\n") == []


# --- slices that were cut beforehand ---------------------------------------------------------------------------------


def pod(name: str, at: float, phase: str, asked: str, *, gone: bool = False) -> Manifest:
    container = {"name": "main", "resources": {"limits": {told.resource(asked): "1"}}}
    shown: Manifest = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(int(at * 10))},
        "spec": {"containers": [container], "nodeName": "n"}, "status": {"phase": phase},
    }  # fmt: skip
    return {"at": int(at * SECOND), "type": "DELETED" if gone else "MODIFIED", "object": shown}


def rest(slices: list[str], booked: dict[str, str] | None = None, *, pods: str = "", books: bool = True) -> Manifest:
    allocated = [{"pod": name, "uuid": uuid} for uuid, name in (booked or {}).items()]
    return {"slices": slices, "allocated": allocated if books else None, "cdi": None, "pods": pods.split()}


CUT = (("MIG-s", "1g.5gb"), ("MIG-l", "3g.20gb"))


def static(given: dict[str, str], *, inventory: Slots = CUT, **notes: Any) -> SlicesRecording:
    """Two pods that ask for a 1g.5gb and a 3g.20gb; `given` are their UUIDs."""
    events = [
        pod(name, at, phase, asked)
        for name, asked in (("small", "1g.5gb"), ("large", "3g.20gb"))
        for at, phase in ((1, "Pending"), (2, "Running"))
    ]
    every: dict[str, Any] = {
        "slicer": "device-plugin", "gpus": [], "gpu_uuids": [],
        "inventory": [{"uuid": uuid, "profile": profile} for uuid, profile in inventory],
        "held": {name: {"main": [uuid]} for name, uuid in given.items()},
    }  # fmt: skip
    meta = RecordingMeta(scenario="s", ended_ns=100 * SECOND, notes=every | notes)
    return SlicesRecording.of_parts(meta, events=events)


SOUND = {"small": "MIG-s", "large": "MIG-l"}


def test_a_sound_node_has_no_findings() -> None:
    """Red when a lawful course is reported: where slices stand is not told, and not judged."""
    assert observed.findings(static(SOUND)) == invariants.untimed(static(SOUND)) == []


def test_whole_gpus_are_slices_of_their_own_kind() -> None:
    recording = static(SOUND, inventory=(("MIG-s", "gpu"), ("MIG-l", "gpu")))
    found = observed.findings(recording)
    assert found == [
        "pod small asked for 1 x 1g.5gb and was given 1 x gpu",
        "pod large asked for 1 x 3g.20gb and was given 1 x gpu",
    ]
    assert observed.asked({"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}}) == {"gpu": 2}


@pytest.mark.parametrize(
    ("given", "told_"),
    [
        ({"small": "MIG-l", "large": "MIG-s"}, "pod small asked for 1 x 1g.5gb and was given 1 x 3g.20gb"),
        ({"small": "MIG-s", "large": "MIG-s"}, "pods small and large ran at the same time on MIG-s"),
        ({"small": "MIG-x", "large": "MIG-l"}, "pod small ran on MIG-x, which did not exist then"),
    ],
)
def test_slices_that_are_mixed_up_are_found(given: dict[str, str], told_: str) -> None:
    assert told_ in observed.findings(static(given))


def test_a_slice_that_is_handed_out_twice_while_all_are_is_found() -> None:
    recording = static(SOUND, inventory=(*CUT, CUT[0]))
    assert observed.findings(recording) == invariants.untimed(recording) == ["MIG-s was given 2 times at once"]


def test_contradictions_of_witnesses_are_findings_of_every_recording() -> None:
    said = "main of pod small was named MIG-s, and nvidia-smi shows no such device"
    assert said in invariants.untimed(static(SOUND, contradictions=[said]))


def test_books_are_the_kubelets_word() -> None:
    """Red when a slice that the kubelet booked for another pod passes, or books that cannot be read count as empty."""
    slices = ["MIG-l", "MIG-s"]
    begin, good = rest(slices), rest(slices, {"MIG-s": "small", "MIG-l": "large"})
    sound = static(SOUND, rest={"begin": begin, "full": good})
    assert at_rest.mixed_up_findings(sound, "full") == at_rest.books_findings(sound, "full", 2) == []
    swapped = static(SOUND, rest={"begin": begin, "full": rest(slices, {"MIG-s": "large", "MIG-l": "small"})})
    assert len(at_rest.mixed_up_findings(swapped, "full")) == 2
    silent = static(SOUND, rest={"begin": begin, "full": rest(slices, books=False)})
    with pytest.raises(Inconclusive, match=r"from Kubernetes 1\.36 on"):
        at_rest.books_findings(silent, "full", 2)


def test_a_slice_that_cannot_be_taken_again_is_gone() -> None:
    found = at_rest.left_findings(static(SOUND, rest={"begin": rest(["MIG-l", "MIG-s"]), "end": rest(["MIG-l"])}))
    assert found == ["slice MIG-s is gone"]


def test_who_waits_beside_a_free_slice_is_found_without_places() -> None:
    """Red when slices of an inventory are taken for none that could be free."""
    events = [pod("late", 1, "Pending", "1g.5gb"), pod("late", 60, "Running", "1g.5gb")]
    events[0]["object"]["spec"].pop("nodeName")
    notes = {"slicer": "device-plugin", "gpus": [], "inventory": [{"uuid": "MIG-s", "profile": "1g.5gb"}]}
    meta = RecordingMeta(scenario="s", ended_ns=100 * SECOND, notes=notes)
    recording = SlicesRecording.of_parts(meta, events=events)
    assert at_rest.idle_findings(recording, 20) == ["pod late waited 59.0 s although a 1g.5gb was free"]


# --- slices on demand ------------------------------------------------------------------------------------------------

GPUS = {3: "GPU-a", 5: "GPU-b"}


def grant(uuid: str, profile: str = "1g.5gb", gpu: str = "GPU-a") -> Grant:
    return Grant(uuid, profile, gpu, "nvidia-smi")


def test_a_claims_device_has_the_uuid_that_its_pod_tells_of_that_gpu_and_profile() -> None:
    devices = ["gpu-3-mig-1g5gb-19-0", "gpu-3-mig-1g5gb-19-1", "gpu-5-mig-1g5gb-19-0"]
    given = [grant("MIG-1"), grant("MIG-2"), grant("MIG-3", gpu="GPU-b")]
    assert list(told.linked(devices, given, GPUS).values()) == ["MIG-1", "MIG-2", "MIG-3"]
    for wrong in (grant("MIG-3", "2g.10gb", "GPU-b"), grant("MIG-3", "1g.5gb", "GPU-c")):
        assert list(told.linked(devices, [*given[:2], wrong], GPUS).values()) == ["MIG-1", "MIG-2", ""]


def claim(name: str, owner: str, at: float, *devices: str, gone: bool = False) -> Manifest:
    results = [{"driver": "gpu.nvidia.com", "pool": "n", "device": one} for one in devices]
    allocated = {"allocation": {"devices": {"results": results}}, "reservedFor": [{"name": owner}]} if devices else {}
    shown: Manifest = {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "status": allocated,
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "resourceVersion": str(int(at * 10)),
            "ownerReferences": [{"kind": "Pod", "name": owner}],
        },
    }  # fmt: skip
    return {"at": int(at * SECOND), "type": "DELETED" if gone else "MODIFIED", "object": shown}


def on_demand(*claims: Manifest, given: dict[str, list[Grant]], **more: Any) -> SlicesRecording:
    events = [pod(name, at, phase, "1g.5gb") for name in given for at, phase in ((1, "Pending"), (5, "Running"))]
    notes: dict[str, Any] = {
        "slicer": "dra", "gpus": ["a100-40gb"] * 2, "gpu_uuids": list(GPUS.values()), "numbers": list(GPUS),
        "inventory": [], "held": {name: {"main": [one.uuid for one in ones]} for name, ones in given.items()},
        "grants": {
            name: {"main": [{"uuid": o.uuid, "profile": o.profile, "gpu": o.gpu, "source": o.source} for o in ones]}
            for name, ones in given.items()
        },
    }  # fmt: skip
    meta = RecordingMeta(scenario="s", token="t", ended_ns=100 * SECOND, notes=notes | more)
    return SlicesRecording.of_parts(meta, events=[*events, *claims])


FIRST, SECOND_ = "gpu-3-mig-1g5gb-19-0", "gpu-3-mig-1g5gb-19-1"


def test_claims_tell_where_slices_stand() -> None:
    """Red when GPUs are not counted as the scenario has them, or a sound course is reported."""
    recording = on_demand(
        claim("c1", "p", 2, FIRST), claim("c2", "q", 2, SECOND_),
        given={"p": [grant("MIG-1")], "q": [grant("MIG-2")]},
    )  # fmt: skip
    there = [(one.slice.gpu, one.slice.start, one.slice.uuid) for one in observed.changes(recording)]
    assert there == [("t/0", 0, "MIG-1"), ("t/0", 1, "MIG-2")]
    assert observed.findings(recording) == invariants.untimed(recording) == []


def test_devices_that_overlap_are_found() -> None:
    large = "gpu-3-mig-3g20gb-9-0"
    recording = on_demand(claim("c1", "p", 2, FIRST), claim("c2", "q", 3, large), given={"p": [grant("MIG-1")]})
    assert "3g.20gb at t/0:0 overlaps 1g.5gb at t/0:0" in observed.findings(recording)


def test_a_claim_that_loses_its_device_under_a_running_pod_is_found() -> None:
    recording = on_demand(claim("c1", "p", 2, FIRST), claim("c1", "p", 9), given={"p": [grant("MIG-1")]})
    assert observed.findings(recording) == ["pod p lost MIG-1 while it ran"]


def test_a_pod_on_another_slice_than_its_claims_is_found() -> None:
    recording = on_demand(claim("c1", "p", 2, FIRST), given={"p": [grant("MIG-1", "2g.10gb")]})
    assert "pod p ran on MIG-1, which did not exist then" in observed.findings(recording)


def test_a_gpu_that_cannot_be_taken_whole_in_the_end_is_not_free() -> None:
    something = "something on GPU-a that keeps them from being taken whole"
    recording = on_demand(given={}, rest={"end": rest([something])})
    assert f"slice {something} is left" in at_rest.left_findings(recording)
