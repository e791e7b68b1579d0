"""What a node offers by configuration: MIG strategies, time-slicing, a change of configuration by node label."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, behaviour, dig, known_defect, scenario
from gpuassay.gpus import gpu_model
from gpuassay.presence import must_have
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import operator_node as gpu_operator
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.operator_node import mig_config, time_slicing
from gpuassay.systems.slices.judge import gpu_labels
from gpuassay.systems.slices.judge.gpu_labels import GPU, Gpus, Sharing
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import PLUGIN

NEEDS = ("program:nvidia-device-plugin",)
STRATEGIES = f"{PLUGIN}#configuration-option-details"
SHARED = f"{PLUGIN}#with-cuda-time-slicing"
MODEL = "a100-40gb"
EQUAL = (("1g.5gb",) * 3, ("1g.5gb",) * 2)
UNEQUAL = (("1g.5gb", "3g.20gb"), ("1g.5gb",))
REPLICAS = 3


def _gpus(cut: tuple[tuple[str, ...], ...] | None) -> Gpus:
    return Gpus(gpu_model(MODEL), 2, cut)


# --- MIG strategies -------------------------------------------------------------------------------------------------


@scenario(system="slices", needs=NEEDS, timeout=90)
def equal_slices(lab: Lab) -> None:
    """Two GPUs with equal slices are offered under each MIG strategy in turn, and then with time-sliced slices."""
    shared = time_slicing("nvidia.com/mig-1g.5gb", REPLICAS)
    configs = {name: mig_config(name) for name in ("none", "single", "mixed")}
    configs["shared"] = mig_config("mixed", sharing=shared)
    geometry = dict(enumerate(EQUAL))
    with gpu_operator.operated(lab, gpus=[MODEL] * 2, geometry=geometry, configs=configs) as node:
        node.observe_offers(gpu_labels.offers(_gpus(EQUAL), "none"), "at first")
        for name in ("single", "mixed", "none"):
            node.use(name)
            node.observe_offers(gpu_labels.offers(_gpus(EQUAL), name), name)
        node.use("shared")
        node.observe_offers(gpu_labels.offers(_gpus(EQUAL), "mixed", SLICE_SHARING), "shared")
        node.discover("shared")


SLICE_SHARING = Sharing("nvidia.com/mig-1g.5gb", REPLICAS)


@scenario(system="slices", needs=NEEDS, timeout=90)
def unequal_slices(lab: Lab) -> None:
    """Two GPUs with unequal slices are offered under MIG strategy mixed, then single, then mixed again."""
    configs = {name: mig_config(name) for name in ("single", "mixed")}
    geometry = dict(enumerate(UNEQUAL))
    with gpu_operator.operated(lab, gpus=[MODEL] * 2, geometry=geometry, configs=configs) as node:
        node.use("mixed")
        node.observe_offers(gpu_labels.offers(_gpus(UNEQUAL), "mixed"), "mixed")
        node.use("single")
        node.observe_refusal("single")
        node.observe_offers({}, "single")
        node.use("mixed")
        node.observe_offers(gpu_labels.offers(_gpus(UNEQUAL), "mixed"), "mixed again")


@behaviour(
    "slices.offers.strategy-none", level=MUST, spec=STRATEGIES,
    red_when="MIG strategy none offers anything but whole GPUs", mutant="mig-strategy-always-mixed",
)  # fmt: skip
def test_the_strategy_none_offers_gpus(equal_slices: SlicesRecording) -> None:
    """Under MIG strategy `none` a node offers its GPUs, however they are partitioned, and no slices."""
    assert equal_slices.note(notes.OFFERS)["none"] == gpu_labels.offers(_gpus(EQUAL), "none"), (
        equal_slices.timeline_text()
    )


@behaviour(
    "slices.offers.strategy-single", level=MUST, spec=STRATEGIES,
    red_when="MIG strategy single offers anything but equal slices as GPUs", mutant="mig-strategy-lost",
)  # fmt: skip
def test_the_strategy_single_offers_slices_as_gpus(equal_slices: SlicesRecording) -> None:
    """Under MIG strategy `single` a node offers as many `nvidia.com/gpu` as it has slices."""
    seen = equal_slices.note(notes.OFFERS)["single"]
    assert seen == gpu_labels.offers(_gpus(EQUAL), "single"), equal_slices.timeline_text()


@behaviour(
    "slices.offers.strategy-mixed", level=MUST, spec=STRATEGIES,
    red_when="MIG strategy mixed offers anything but each profile by its name", mutant="mig-strategy-lost",
)  # fmt: skip
def test_the_strategy_mixed_offers_each_profile(equal_slices: SlicesRecording, unequal_slices: SlicesRecording) -> None:
    """Under MIG strategy `mixed` a node offers each profile by name, as often as it exists, and no whole GPU."""
    for recording, cut in ((equal_slices, EQUAL), (unequal_slices, UNEQUAL)):
        assert recording.note(notes.OFFERS)["mixed"] == gpu_labels.offers(_gpus(cut), "mixed"), (
            recording.timeline_text()
        )


@behaviour(
    "slices.offers.single-refused", level=MUST, spec=STRATEGIES, timed=True,
    red_when="unequal slices are offered as equal ones under MIG strategy single", mutant="config-label-lost",
)  # fmt: skip
def test_unequal_slices_are_not_offered_as_gpus(unequal_slices: SlicesRecording) -> None:
    """Under MIG strategy `single` unequal slices are refused with a reason, and nothing is offered."""
    assert unequal_slices.note(notes.OFFERS)["single"] == {}, unequal_slices.timeline_text()
    assert "more than one MIG device type" in unequal_slices.note(notes.REFUSALS)["single"]


@behaviour(
    "slices.offers.config-change", level=MUST, spec=f"{PLUGIN}#multiple-config-file-example",
    red_when="a node keeps offering its former configuration after its config label has changed",
    mutant="config-label-lost",
)  # fmt: skip
def test_the_node_label_changes_what_is_offered(equal_slices: SlicesRecording) -> None:
    """With each change of the label `nvidia.com/device-plugin.config` the node offers what that configuration says."""
    expected = {name: gpu_labels.offers(_gpus(EQUAL), name) for name in ("single", "mixed", "none")}
    seen = {name: equal_slices.note(notes.OFFERS)[name] for name in expected}
    assert seen == expected, equal_slices.timeline_text()


@behaviour(
    "slices.offers.recovers", level=MUST, spec=f"{PLUGIN}#multiple-config-file-example",
    red_when="a node that had an invalid configuration offers nothing under a valid one",
    mutant="mig-strategy-lost",
)  # fmt: skip
def test_a_configuration_that_fits_helps_after_one_that_does_not(unequal_slices: SlicesRecording) -> None:
    """After MIG strategy `single` was refused, MIG strategy `mixed` offers all slices again."""
    seen = unequal_slices.note(notes.OFFERS)["mixed again"]
    assert seen == gpu_labels.offers(_gpus(UNEQUAL), "mixed"), unequal_slices.timeline_text()


@behaviour(
    "slices.sharing.slices", level=SHOULD, spec=SHARED,
    red_when="a shared slice is not offered as often as configured, or not labelled as shared", mutant="sharing-lost",
)  # fmt: skip
def test_slices_can_be_shared(equal_slices: SlicesRecording) -> None:
    """Time-slicing of a MIG profile multiplies what is offered of it, and its product ends with SHARED."""
    assert equal_slices.note(notes.OFFERS)["shared"] == gpu_labels.offers(_gpus(EQUAL), "mixed", SLICE_SHARING)
    expected = gpu_labels.gpu_labels(_gpus(EQUAL), "mixed", SLICE_SHARING)
    seen = equal_slices.note(notes.FEATURES)["shared"]
    assert gpu_labels.label_findings(seen, expected, parts=("gpu", "mig")) == [], equal_slices.timeline_text()


# --- time-slicing of whole GPUs -------------------------------------------------------------------------------------

CONFIGS = {
    "default": {},
    "shared": {"sharing": time_slicing(GPU, REPLICAS)},
    "renamed": {"sharing": time_slicing(GPU, REPLICAS, renameByDefault=True)},
    "one-each": {"sharing": time_slicing(GPU, REPLICAS, failRequestsGreaterThanOne=True)},
}
GPU_SHARING = Sharing(GPU, REPLICAS)
RENAMED = Sharing(GPU, REPLICAS, renamed=True)


STALE = (
    "https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/kubelet/cm/devicemanager/plugin/v1beta1/handler.go#L126"
)
"""A client's end looks its client up by resource name. A newer one of that name is taken off the list in its place, and
when that one ends, nothing withdraws what it offered."""


@scenario(system="slices", needs=NEEDS, timeout=120)
def shared_gpus(lab: Lab) -> None:
    """Two whole GPUs time-sliced by three: pods use all replicas, a pod asks for two, and replicas are renamed."""
    with gpu_operator.operated(lab, gpus=[MODEL] * 2, mig=False, configs=CONFIGS) as node:
        node.observe_offers(gpu_labels.offers(_gpus(None), "none"), "default")
        node.discover("default")
        node.use("shared")
        node.observe_offers(gpu_labels.offers(_gpus(None), "none", GPU_SHARING), "shared")
        node.discover("shared")
        names = [f"share-{number}" for number in range(2 * REPLICAS)]
        for name in names:
            node.pod(name, GPU)
        node.observe_running(*names)
        node.note_given(*names)
        node.delete(*names)
        node.use("one-each")
        node.observe_offers(gpu_labels.offers(_gpus(None), "none", GPU_SHARING), "one-each")
        node.pod("greedy", GPU, 2)
        lab.observe(lambda: slices.phase(lab, "greedy") in {"Running", "Failed"}, "greedy is decided upon")
        node.delete("greedy")
        node.use("renamed")
        node.observe_offers(gpu_labels.offers(_gpus(None), "none", RENAMED), "renamed")
        node.discover("renamed")


@behaviour(
    "slices.sharing.replicas", level=MUST, spec=SHARED,
    red_when="a shared GPU is not offered as often as configured", mutant="sharing-lost",
)  # fmt: skip
def test_a_shared_gpu_is_offered_several_times(shared_gpus: SlicesRecording) -> None:
    """A node offers its GPUs, and with time-slicing its GPUs times replicas."""
    seen = {name: shared_gpus.note(notes.OFFERS)[name] for name in ("default", "shared")}
    assert seen == {"default": {GPU: 2}, "shared": {GPU: 2 * REPLICAS}}, shared_gpus.timeline_text()


@behaviour(
    "slices.sharing.labels", level=MUST, spec=SHARED,
    red_when="a shared GPU is labelled as an exclusive one", mutant="sharing-lost",
)  # fmt: skip
def test_a_shared_gpu_is_labelled_as_shared(shared_gpus: SlicesRecording) -> None:
    """With time-slicing, and only then, the product label ends with SHARED and labels give replicas and strategy."""
    for name, sharing in (("default", None), ("shared", GPU_SHARING)):
        expected = gpu_labels.gpu_labels(_gpus(None), "none", sharing)
        seen = shared_gpus.note(notes.FEATURES)[name]
        assert gpu_labels.label_findings(seen, expected, parts=("gpu", "mig")) == [], shared_gpus.timeline_text()


@behaviour(
    "slices.sharing.tenants", level=MUST, spec=SHARED,
    red_when="pods on a time-sliced GPU do not run, or a GPU has more pods than replicas", mutant="sharing-lost",
)  # fmt: skip
def test_pods_share_gpus(shared_gpus: SlicesRecording) -> None:
    """As many pods as replicas run at once, each with one GPU, and each GPU serves exactly three of them."""
    given = shared_gpus.note(notes.GIVEN)
    uuids = must_have(shared_gpus.note(notes.UUIDS), "GPUs")
    tenants = {uuid: sum(told == [uuid] for told in given.values()) for uuid in uuids}
    assert tenants == dict.fromkeys(uuids, REPLICAS), shared_gpus.timeline_text()


@behaviour(
    "slices.sharing.one-each", level=MUST, spec=SHARED,
    red_when="a pod gets several shares although requests for more than one are to fail",
    mutant="sharing-refusal-lost",
)  # fmt: skip
def test_a_request_for_two_shares_fails(shared_gpus: SlicesRecording) -> None:
    """With failRequestsGreaterThanOne a pod that asks for two shares ends as UnexpectedAdmissionError."""
    states = [dig(event.object, "status", default={}) for event in shared_gpus.of("Pod") if event.name == "greedy"]
    assert "Running" not in {one.get("phase") for one in states}, shared_gpus.timeline_text()
    assert "UnexpectedAdmissionError" in {one.get("reason") for one in states}, shared_gpus.timeline_text()


@known_defect(
    STALE, "kubelet: a plugin that registers again before its former stream ends is forgotten",
    shows="expected shares on offer by their name", racy=True,
)  # fmt: skip
@behaviour(
    "slices.sharing.renamed", level=MUST, spec=SHARED,
    red_when="shares are offered by the name of whole GPUs although they are to be renamed",
    mutant="sharing-rename-lost",
)  # fmt: skip
def test_shares_can_have_a_name_of_their_own(shared_gpus: SlicesRecording) -> None:
    """With renameByDefault a node offers `nvidia.com/gpu.shared` instead, and the product has no suffix."""
    offers, wanted = shared_gpus.note(notes.OFFERS)["renamed"], {f"{GPU}.shared": 2 * REPLICAS}
    assert offers == wanted, (
        f"expected shares on offer by their name, {wanted}, seen {offers}\n{shared_gpus.timeline_text()}"
    )
    expected = gpu_labels.gpu_labels(_gpus(None), "none", RENAMED)
    seen = shared_gpus.note(notes.FEATURES)["renamed"]
    assert gpu_labels.label_findings(seen, expected, parts=("gpu", "mig")) == [], shared_gpus.timeline_text()
