"""The oracle of GPU labels and offers: examples from NVIDIA's documentation, and doctored labels that it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.gpus import MODELS, gpu_model
from gpuassay.systems.slices.judge import gpu_labels
from gpuassay.systems.slices.judge.gpu_labels import GPU, Gpus, Sharing

A100 = gpu_model("a100-40gb")
CUT = Gpus(A100, 2, (("1g.5gb", "1g.5gb"), ("1g.5gb",)))
MIXED = Gpus(A100, 2, (("1g.5gb", "3g.20gb"), ("1g.5gb+me",)))
WHOLE = Gpus(A100, 8)


def test_offers_are_those_of_the_documentation() -> None:
    """Red when a strategy or sharing is counted otherwise than NVIDIA documents it."""
    assert gpu_labels.offers(WHOLE, "none") == gpu_labels.offers(WHOLE, "mixed") == {GPU: 8}
    assert gpu_labels.offers(CUT, "none") == {GPU: 2}
    assert gpu_labels.offers(CUT, "single") == {GPU: 3}
    assert gpu_labels.offers(CUT, "mixed") == {"nvidia.com/mig-1g.5gb": 3}
    assert gpu_labels.offers(MIXED, "mixed") == {
        "nvidia.com/mig-1g.5gb": 1,
        "nvidia.com/mig-3g.20gb": 1,
        "nvidia.com/mig-1g.5gb.me": 1,
    }
    assert gpu_labels.offers(WHOLE, "none", Sharing(GPU, 10)) == {GPU: 80}
    assert gpu_labels.offers(WHOLE, "none", Sharing(GPU, 10, renamed=True)) == {f"{GPU}.shared": 80}
    assert gpu_labels.offers(MIXED, "mixed", Sharing(GPU, 10)) == gpu_labels.offers(MIXED, "mixed")


def test_unequal_slices_have_no_offer_as_single() -> None:
    """Red when slices that differ, or a GPU without any, count as equal."""
    for cut in (MIXED.slices, (("1g.5gb",), ())):
        with pytest.raises(ValueError, match="one profile"):
            gpu_labels.offers(Gpus(A100, 2, cut), "single")


def test_products_say_what_is_offered() -> None:
    """Red when a product lacks its profile, INVALID or SHARED, or has it for nothing."""

    def product(gpus: Gpus, strategy: gpu_labels.Strategy, name: str = GPU, sharing: Sharing | None = None) -> str:
        return gpu_labels.gpu_labels(gpus, strategy, sharing)[f"{name}.product"]

    assert product(WHOLE, "none") == "NVIDIA-A100-SXM4-40GB"
    assert product(CUT, "single") == "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"
    assert product(MIXED, "single") == "NVIDIA-A100-SXM4-40GB-MIG-INVALID"
    assert product(MIXED, "mixed") == "NVIDIA-A100-SXM4-40GB"
    assert product(MIXED, "mixed", "nvidia.com/mig-1g.5gb.me") == "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me"
    assert product(WHOLE, "none", GPU, Sharing(GPU, 4)) == "NVIDIA-A100-SXM4-40GB-SHARED"
    assert product(WHOLE, "none", GPU, Sharing(GPU, 4, renamed=True)) == "NVIDIA-A100-SXM4-40GB"


def test_versions_are_taken_apart() -> None:
    """Red when CUDA 12.4 or a driver without revision is read wrongly."""
    found = gpu_labels.version_labels("550.54", 12040)
    assert found["nvidia.com/cuda.runtime-version.full"] == "12.4"
    assert found["nvidia.com/cuda.driver-version.full"] == "550.54"
    assert found["nvidia.com/cuda.driver-version.revision"] == ""


@given(st.sampled_from(sorted(MODELS)), st.data())
def test_every_doctored_label_is_found(name: str, data: st.DataObject) -> None:
    """Red when a label can be changed, dropped or added without a finding."""
    gpus = Gpus(gpu_model(name), 1, ((gpu_model(name).profiles[0].name,),))
    right = gpu_labels.gpu_labels(gpus, data.draw(st.sampled_from(("none", "single", "mixed"))))
    assert gpu_labels.label_findings(right, right) == []
    label = data.draw(st.sampled_from(sorted(right)))
    for doctored in (
        right | {label: "other"},
        {key: value for key, value in right.items() if key != label},
        right | {"nvidia.com/mig-9g.99gb.count": "1"},
    ):
        assert len(gpu_labels.label_findings(doctored, right)) == 1


def test_only_the_parts_that_were_asked_for_are_compared() -> None:
    """Red when labels of others, or of other parts, are findings."""
    right = {"nvidia.com/gpu.count": "1", "nvidia.com/mig-1g.5gb.count": "1"}
    assert gpu_labels.label_findings({"example.org/x": "1", "nvidia.com/gpu.mode": "compute"}, {}) == []
    assert gpu_labels.label_findings({"nvidia.com/gpu.count": "2"}, right, parts=("gpu",)) == [
        "nvidia.com/gpu.count is '2', expected '1'"
    ]


def test_a_node_offers_what_it_has_some_of() -> None:
    """Red when resources of others, or those that are gone, count as offered."""
    node = {"status": {"allocatable": {"cpu": "8", GPU: "2", "nvidia.com/mig-1g.5gb": "0"}}}
    assert gpu_labels.offered_of(node) == {GPU: 2}
