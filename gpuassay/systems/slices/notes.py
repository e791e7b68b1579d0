"""What scenarios of slices hand to their judges, where more than one module reads or writes it."""

from __future__ import annotations

import msgspec

from gpuassay.record.notes import Note
from gpuassay.systems.slices.model.slices import SliceJob


class Allocation(msgspec.Struct, frozen=True):
    """A slice that the books give to a pod: claims of the API, or the kubelet's checkpoint.

    Attributes:
        pod: its name, or `nobody`.
        uuid: of the slice, or words about one that does not exist.
    """

    pod: str
    uuid: str


class Grant(msgspec.Struct, frozen=True):
    """A GPU or slice that a container says it was given.

    Attributes:
        uuid: its UUID, or words about it where the container cannot know that.
        profile: of the slice, `gpu` of a whole GPU, "" where it is not told.
        gpu: UUID of its GPU, or its index where that is all that is told; "" where nothing is.
        source: which of the container's witnesses says so.
    """

    uuid: str
    profile: str
    gpu: str
    source: str


class Slot(msgspec.Struct, frozen=True):
    """A GPU or slice of somebody's node, as a container that was given all of them has told it."""

    uuid: str
    profile: str


class Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What exists on a node at one moment.

    Attributes:
        slices: of the silicon, by UUID; devices that the example driver has prepared, by name. On somebody's node those
            that containers say they have.
        allocated: what the books say; None where they cannot be read.
        cdi: slices or devices that CDI files name; None where these cannot be read.
        pods: names of the scenario's pods.
        states: of DAS's claims, sorted; None of other slicers.
        usage: what Kueue's queues tell as used, by resource; None without Kueue.
    """

    slices: list[str]
    allocated: list[Allocation] | None
    cdi: list[str] | None
    pods: list[str]
    states: list[str] | None = None
    usage: dict[str, int] | None = None


class Claimed(msgspec.Struct, frozen=True):
    """A claim that holds devices, as the API has it.

    Attributes:
        name: of the claim.
        users: UIDs of the pods for which it is reserved.
        slices: UUIDs of its devices, or words about one that does not exist.
        published: whether all its devices are in the newest complete ResourceSlices of their pool.
    """

    name: str
    users: list[str]
    slices: list[str]
    published: bool


class Contained(msgspec.Struct, frozen=True):
    """A container as the node has it, whatever the API says of its pod.

    Attributes:
        uid: of its pod.
        pod: name of its pod.
        name: of the container.
        slices: UUIDs of what the runtime was told to give it, by environment and device nodes.
        processes: how many live in its cgroup.
    """

    uid: str
    pod: str
    name: str
    slices: list[str]
    processes: int


class Accounts(msgspec.Struct, frozen=True):
    """What five witnesses say of who holds which slice, at one moment.

    Attributes:
        pods: the scenario's pods in the API: phase by UID.
        claims: claims that hold devices, by UID; none where slices are asked for without a claim.
        driver: UUIDs in the checkpoint by claim (of the DRA driver) or by pod (of the kubelet, for a device plugin).
        cdi: UUIDs in the driver's CDI files by claim; None where there are none to be read.
        silicon: the slices that there are, by UUID.
        containers: those that hold slices, and those that nobody tells of.
    """

    pods: dict[str, str]
    claims: dict[str, Claimed]
    driver: dict[str, list[str]]
    cdi: dict[str, list[str]] | None
    silicon: list[str]
    containers: list[Contained]


class Told(msgspec.Struct, frozen=True):
    """What kubectl told: its exit code (None where it took too long), its output and its error."""

    code: int | None
    out: str
    error: str


SLICER = Note("slicer", str, "who makes the slices: `device-plugin`, `dra`, `das` or `dra-example`")
NODE = Note("node", str, "name of the sliced node")
GPUS = Note("gpus", list[str], "models of the node's GPUs, by index")
GPU_UUIDS = Note("gpu_uuids", list[str], "UUIDs of the node's GPUs, by index")
REST = Note("rest", dict[str, Rest], "what exists at a named moment")
ACCOUNTS = Note(
    "accounts", dict[str, Accounts], "what five witnesses say of the slices, at named moments of rest", default={}
)
TOGETHER = Note(
    "together", list[str], "live containers of two pods that were seen to have one slice, whatever the API says",
    default=[],
)  # fmt: skip
HELD = Note(
    "held", dict[str, dict[str, list[str]]], "UUIDs of the slices that containers say they were given, by pod and name",
    default={},
)  # fmt: skip
JOBS = Note("jobs", list[SliceJob], "the jobs as they were asked for, in order; times in s")

GRANTS = Note(
    "grants", dict[str, dict[str, list[Grant]]],
    "what containers on somebody's node say they were given, by pod and name", default={},
)  # fmt: skip
INVENTORY = Note(
    "inventory",
    list[Slot],
    "what somebody's node offered at the beginning; none where the silicon is ours",
    default=None,
)
NUMBERS = Note(
    "numbers", list[int], "number that somebody's driver gives each of the scenario's GPUs, by index", default=[]
)
STANDS_FOR = Note(
    "stands_for", dict[str, str], "profile of somebody's node in place of one of the scenario's", default={}
)
WANTED_THERE = Note(
    "wanted_there", dict[str, int], "slices of each profile that the scenario found free on somebody's node", default={}
)
CONTRADICTIONS = Note(
    "contradictions", list[str], "where the witnesses of one container contradict each other", default=[]
)

WANTED = Note("wanted", dict[str, str], "profile of the slice that each claim was made for; of GPUs as counters")

UUIDS = Note("uuids", list[str], "UUIDs of the GPUs of a node as the GPU Operator has it, by index")
DRIVER = Note("driver", str, "version of the NVIDIA driver")
CUDA = Note("cuda", int, "CUDA version of the driver, as NVML tells it: 1000 times the major plus 10 times the minor")
FEATURES = Note("features", dict[str, dict[str, str]], "NVIDIA's labels of the node, by case")
OFFERS = Note("offers", dict[str, dict[str, int]], "what the node offers in the end, without zeros, by case")
REFUSALS = Note("refusals", dict[str, str], "the device plugin's last error, by the configuration it refused")
GIVEN = Note("given", dict[str, list[str]], "UUIDs of the GPUs that pods say they were given")

INDICES = Note("indices", dict[str, str | None], "what pods say of CUDA_VISIBLE_DEVICES; null where they do not")

CLAIMS = Note("claims", dict[str, dict[str, str]], "UID of the claim of each device that a pod was given, by pod")
GPUS_SEEN = Note("gpus_seen", dict[str, list[str]], "what looks like a GPU in a pod that was given none")
EMULATED = Note("emulated", list[str], "what the cluster says that it emulates")

AWAY = Note("away", float, "how long the kubelet was away, in s")
