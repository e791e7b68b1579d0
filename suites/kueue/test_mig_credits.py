"""MIG profiles counted as credits: compute slices and memory, so that all profiles draw on one quota."""

from __future__ import annotations

from gpuassay import INFO, MUST, Manifest, behaviour, dig, scenario
from gpuassay.manifest import condition, name_of
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component.profiles import GPC, GPU_MEMORY, MIG_CREDITS
from gpuassay.systems.kueue.judge.cohorts import holding, pending, usage_at_end
from gpuassay.systems.kueue.judge.mig import most_placeable
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.sharing import asks, credit_queue

SPEC = "https://kueue.sigs.k8s.io/docs/tasks/manage/administer_cluster_quotas/#transform-resources-for-quota-management"
EXCLUDE = "https://kueue.sigs.k8s.io/docs/tasks/manage/administer_cluster_quotas/#exclude-arbitrary-resources-in-the-quota-management"
RETAINED, CREDITS, IGNORED, EXCLUDED = (
    f"example.com/{one}" for one in ("retained", "credits", "ignored", "excluded-x")
)
PREFIXES = {"nvidia": "nvidia.com/mig-", "das": "mig.das.com/"}


def plain(profile: str) -> str:
    """A profile's name as part of an object's name."""
    return profile.replace(".", "-")


@scenario("transformations")
def charges(lab: KueueLab) -> None:
    """Two pods of each MIG profile under both resource names, and resources that are retained, ignored or excluded."""
    ample = credit_queue(lab, "ample", {GPC: 1000, GPU_MEMORY: 10_000})
    names = [
        asks(lab, f"{maker}-{plain(profile)}", ample, count=2, **{prefix + profile: 1})
        for maker, prefix in PREFIXES.items()
        for profile in MIG_CREDITS
    ]
    names.append(asks(lab, "mixed", ample, **{"nvidia.com/mig-1g.5gb": 2, "nvidia.com/mig-3g.20gb": 1}))
    kept = credit_queue(lab, "kept", {GPC: 10, GPU_MEMORY: 100, RETAINED: 10, CREDITS: 100})
    names.append(asks(lab, "retained", kept, **{RETAINED: 3}))
    names.append(asks(lab, "left-out", kept, **{"nvidia.com/mig-1g.5gb": 1, IGNORED: 5, EXCLUDED: 7}))
    lab.observe(lambda: lab.decided(*names), "all decided")


def usage(recording: KueueRecording, name: str) -> dict[str, int]:
    """What a Workload is charged with."""
    return {resource: int(amount) for resource, amount in usage_at_end(recording, name).items()}


@behaviour(
    "kueue.mig-credits.exact-charge", level=MUST, spec=SPEC,
    red_when="a MIG profile is charged with other credits than its slices and memory", mutant="mig-profiles-confused",
)  # fmt: skip
def test_every_profile_is_charged_exactly(charges: KueueRecording) -> None:
    """Two pods of each MIG profile are charged with exactly twice its compute slices and memory, and nothing else."""
    for profile, (slices, memory) in MIG_CREDITS.items():
        seen = usage(charges, f"nvidia-{plain(profile)}")
        assert seen == {GPC: 2 * slices, GPU_MEMORY: 2 * memory}, f"{profile}: {charges.timeline_text()}"


@behaviour(
    "kueue.mig-credits.das-names", level=MUST, spec=SPEC,
    red_when="a MIG profile is charged differently under the resource name that DAS gives it",
    mutant="transformation-bypassed",
)  # fmt: skip
def test_a_profile_costs_the_same_under_both_names(charges: KueueRecording) -> None:
    """A MIG profile is charged the same under the mig.das.com name that a webhook gives it as under nvidia.com."""
    for profile, (slices, memory) in MIG_CREDITS.items():
        seen = usage(charges, f"das-{plain(profile)}")
        assert seen == {GPC: 2 * slices, GPU_MEMORY: 2 * memory}, f"{profile}: {charges.timeline_text()}"


@behaviour(
    "kueue.mig-credits.inputs-add-up", level=MUST, spec=SPEC,
    red_when="the credits of several profiles in one pod are not added up", mutant="mig-profiles-confused",
)  # fmt: skip
def test_credits_of_several_profiles_add_up(charges: KueueRecording) -> None:
    """A pod that asks for several profiles is charged with the sum of their credits."""
    (small, gigabytes), (large, more) = MIG_CREDITS["1g.5gb"], MIG_CREDITS["3g.20gb"]
    expected = {GPC: 2 * small + large, GPU_MEMORY: 2 * gigabytes + more}
    assert usage(charges, "mixed") == expected, charges.timeline_text()


@behaviour(
    "kueue.mig-credits.retain-keeps-input", level=MUST, spec=SPEC,
    red_when="strategy Retain drops the input, or does not charge the output", mutant="transformation-bypassed",
)  # fmt: skip
def test_retain_charges_input_and_output(charges: KueueRecording) -> None:
    """With strategy Retain both the resource itself and its credits are charged."""
    assert usage(charges, "retained") == {RETAINED: 3, CREDITS: 30}, charges.timeline_text()


@behaviour(
    "kueue.mig-credits.left-out", level=MUST, spec=EXCLUDE,
    red_when="a resource that is excluded, or transformed to nothing, needs quota", mutant="transformation-bypassed",
)  # fmt: skip
def test_excluded_resources_are_not_charged(charges: KueueRecording) -> None:
    """Resources with an excluded prefix, or transformed to nothing, are not charged and need no quota."""
    assert usage(charges, "left-out") == {GPC: 1, GPU_MEMORY: 5}, charges.timeline_text()


@scenario("transformations")
def one_gpu(lab: KueueLab) -> None:
    """One A100's credits (7 slices, 40 GB): two 3g.20gb, a 1g.5gb and, after one 3g.20gb is deleted, a 2g.10gb."""
    queue = credit_queue(lab, "a100", {GPC: 7, GPU_MEMORY: 40})
    large, small, middle = (f"nvidia.com/mig-{one}" for one in ("3g.20gb", "1g.5gb", "2g.10gb"))
    for name, resource in (("large-0", large), ("large-1", large), ("small", small)):
        asks(lab, name, queue, **{resource: 1})
        lab.observe(lambda name=name: lab.decided(name), f"{name} decided")
    lab.delete("Workload", "large-0")
    lab.observe_admitted("small")
    asks(lab, "middle", queue, **{middle: 1})
    asks(lab, "large-2", queue, **{large: 1})
    lab.observe(lambda: lab.decided("middle", "large-2"), "both decided")


@behaviour(
    "kueue.mig-credits.memory-binds", level=MUST, spec=SPEC,
    red_when="a workload is admitted beyond the memory credits because compute slices are left",
    mutant="mig-profiles-confused",
)  # fmt: skip
def test_every_kind_of_credit_binds(one_gpu: KueueRecording) -> None:
    """A 1g.5gb waits for memory credits that two 3g.20gb use up, although a slice is free, and its message says so."""
    history = one_gpu.timelines("Workload")["small"]
    refused = [one for one in history.condition_changes() if one.type == "QuotaReserved" and one.status == "False"]
    assert refused, one_gpu.timeline_text()
    assert GPU_MEMORY in refused[0].message and "5 more needed" in refused[0].message, refused[0].message


@behaviour(
    "kueue.mig-credits.credits-shared", level=MUST, spec=SPEC,
    red_when="credits freed by one profile cannot be used by others", mutant="transformation-bypassed",
)  # fmt: skip
def test_freed_credits_serve_other_profiles(one_gpu: KueueRecording) -> None:
    """Credits freed by a 3g.20gb admit a 1g.5gb and a 2g.10gb, while another 3g.20gb that no longer fits waits."""
    assert holding(one_gpu, "a100") == ["large-1", "middle", "small"], one_gpu.timeline_text()
    assert pending(one_gpu, "a100") == ["large-2"], one_gpu.timeline_text()


@scenario("transformations")
def untouched(lab: KueueLab) -> None:
    """A Job asks for a MIG profile that no node has."""
    queue = credit_queue(lab, "whole", {GPC: 7, GPU_MEMORY: 40})
    lab.job("mig", queue, gpus=None, limits={"nvidia.com/mig-2g.10gb": 1})
    lab.observe_admitted("mig")
    lab.observe(lambda: bool(lab.objects("Pod")), "its pod")


@behaviour(
    "kueue.mig-credits.pods-untouched", level=MUST, spec=SPEC,
    red_when="a Job or its pod requests credits instead of MIG devices", mutant="mig-name-rewritten",
)  # fmt: skip
def test_pods_keep_asking_for_devices(untouched: KueueRecording) -> None:
    """Resource transformations affect quota only, and the Job and its pod keep requesting the MIG device."""
    path = ("spec", "containers", 0, "resources", "limits")
    pods = [one.final for one in untouched.timelines("Pod").values()]
    assert len(pods) == 1, untouched.timeline_text()
    assert dig(pods[0], *path) == {"nvidia.com/mig-2g.10gb": "1"}, pods[0]["spec"]
    job = untouched.timelines("Job")["mig"].final
    assert dig(job, "spec", "template", *path) == {"nvidia.com/mig-2g.10gb": "1"}, job["spec"]


@scenario("transformations")
def impossible(lab: KueueLab) -> None:
    """The credits of two A100 GPUs (14 slices, 80 GB) and three pods of 4g.20gb, of which a GPU can hold one."""
    queue = credit_queue(lab, "two-gpus", {GPC: 14, GPU_MEMORY: 80})
    names = [asks(lab, f"wide-{index}", queue, **{"nvidia.com/mig-4g.20gb": 1}) for index in range(3)]
    byhand.observe_pending(lab, queue, 0)
    lab.observe(lambda: lab.decided(*names), "all decided")


def asked_profiles(recording: KueueRecording, names: list[str]) -> list[str]:
    """The MIG profiles that these Workloads asked for, one per pod."""
    found: list[str] = []
    for asked in recording.asked:
        if asked["kind"] == "Workload" and name_of(asked) in names:
            requests: Manifest = asked["spec"]["podSets"][0]["template"]["spec"]["containers"][0]["resources"][
                "requests"
            ]
            found += [resource.partition("mig-")[2] for resource in requests]
    return found


@behaviour(
    "kueue.mig-credits.geometry-gap", level=INFO, spec="https://docs.nvidia.com/datacenter/tesla/mig-user-guide/",
    red_when="quota in credits no longer admits more MIG devices than GPUs can place (the known gap is closed)",
    mutant="transformation-bypassed",
)  # fmt: skip
def test_credits_admit_what_no_gpu_can_place(impossible: KueueRecording) -> None:
    """Quota in credits admits three 4g.20gb for two A100 GPUs, although the GPUs can place only two of them."""
    admitted = holding(impossible, "two-gpus")
    assert len(admitted) == 3, impossible.timeline_text()
    assert most_placeable(asked_profiles(impossible, admitted), 2) == 2


@behaviour(
    "kueue.mig-credits.uncovered-waits", level=MUST, spec=SPEC,
    red_when="a workload is admitted that needs credits its queue does not cover", mutant="transformation-bypassed",
)  # fmt: skip
def test_a_profile_without_quota_waits(uncovered: KueueRecording) -> None:
    """A workload that needs credits its queue does not cover stays pending, and its condition names them."""
    line = uncovered.timelines("Workload")["homeless"].final
    told = str((condition(line, "QuotaReserved") or {}).get("message", ""))
    assert pending(uncovered, "slices-only") == ["homeless"], uncovered.timeline_text()
    assert GPU_MEMORY in told, told


@scenario("transformations")
def uncovered(lab: KueueLab) -> None:
    """A queue has quota for compute slices but none for memory."""
    queue = credit_queue(lab, "slices-only", {GPC: 7})
    asks(lab, "homeless", queue, **{"nvidia.com/mig-1g.5gb": 1})
    lab.observe(lambda: lab.decided("homeless"), "it is decided")
