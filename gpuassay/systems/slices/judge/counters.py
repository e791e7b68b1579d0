"""What the scheduler gave out of GPUs that are published as counters: claims, and the places that they hold.

Which place a device is, and what a pod asked for, is read from what was asked (`Recording.asked`, `notes.WANTED`),
never from what a broken system may have stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuassay.gpus import GpuModel, gpu_model
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.geometry import Slice, free_starts
from gpuassay.systems.slices.judge.observed import claimed_devices, unscheduled
from gpuassay.systems.slices.model import placement
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.readings import SlicesRecording

REFUSED = "cannot allocate all claims"
"""What the scheduler says of a node on which a pod's claims find no devices."""

Devices = Mapping[str, Place]
"""Places by the names of the devices that stand for them; of a whole GPU its largest profile."""
Held = Mapping[str, Sequence[Place]]
"""Places by the names of the claims that hold them."""


def models(recording: SlicesRecording) -> list[GpuModel]:
    """The GPUs that were published."""
    return [gpu_model(name) for name in recording.note(notes.GPUS)]


def devices(asked: Iterable[Manifest], gpus: Sequence[GpuModel]) -> dict[str, Place]:
    """The devices of the ResourceSlices among `asked`."""
    every = [one for obj in asked if obj["kind"] == "ResourceSlice" for one in dig(obj, "spec", "devices", default=[])]
    return {one["name"]: _place(one["attributes"], gpus) for one in every}


def _place(attributes: Mapping[str, Mapping[str, str | int]], gpus: Sequence[GpuModel]) -> Place:
    gpu = int(attributes["gpu"]["int"])
    if "profile" in attributes:
        return Place(gpu, int(attributes["start"]["int"]), str(attributes["profile"]["string"]))
    model = gpus[gpu]
    return Place(gpu, 0, next(one.name for one in model.profiles if one.size == model.memory_slices))


def course(recording: SlicesRecording) -> Iterator[tuple[int, str, dict[str, list[Place]]]]:
    """Every change of what claims hold: when (ns), which claim changed, and what all hold from then on."""
    known = devices(recording.asked, models(recording))
    held: dict[str, list[Place]] = {}
    for event in recording.of("ResourceClaim"):
        now = [] if event.type == "DELETED" else [known[name] for name in claimed_devices(event.object)]
        if now != held.get(event.name, []):
            held[event.name] = now
            yield event.at, event.name, {name: list(places) for name, places in held.items() if places}


def held(recording: SlicesRecording, at: int) -> dict[str, list[Place]]:
    """What claims hold at `at` (ns since the epoch)."""
    now: dict[str, list[Place]] = {}
    for moment, _, state in course(recording):
        if moment > at:
            break
        now = state
    return now


def never_bound(recording: SlicesRecording) -> set[str]:
    """Pods that were deleted after their claim was allocated and before they had a node.

    Kubernetes v1.36 leaves such a claim allocated: the scheduler takes back the reservation and not the allocation
    (`dynamicresources.go`, Unreserve), and the claim controller deallocates only where it removes a reservation itself.
    """
    pods = recording.timelines("Pod")
    return {name for name, pod in pods.items() if pod.deleted and not on_a_node(pod.final)}


def geometry_findings(recording: SlicesRecording) -> list[str]:
    """What the hardware would not allow of what is held together, at every change; each once."""
    gpus = models(recording)
    found: dict[str, None] = {}
    for _, _, state in course(recording):
        found |= dict.fromkeys(placement.findings(sorted(_all(state)), gpus))
    return list(found)


def together_findings(recording: SlicesRecording, one: str, other: str) -> list[str]:
    """Moments at which two claims held something at the same time, and claims that never held any, as sentences."""
    states = [state for _, _, state in course(recording)]
    never = [name for name in (one, other) if not any(name in state for state in states)]
    return [f"{name} never held a device, so that it excluded nobody" for name in never] + [
        f"{one} and {other} hold devices at the same time: {state[one]}, {state[other]}"
        for state in states
        if one in state and other in state
    ]


def wanted_findings(recording: SlicesRecording, at: int) -> list[str]:
    """Claims that hold at `at` other than the one slice that they were made for."""
    wanted = recording.note(notes.WANTED)
    if not held(recording, at):
        return ["no claim holds anything"]
    return [
        f"claim {name} asked for {wanted[name]} and holds {', '.join(map(str, places))}"
        for name, places in held(recording, at).items()
        if [one.profile for one in places] != [wanted[name]]
    ]


def ghost_findings(recording: SlicesRecording, at: int) -> list[str]:
    """Pods that are on a node at `at` although their claim holds nothing."""
    holding = held(recording, at)
    return [f"pod {name} is on a node without what it asked for" for name in _bound(recording, at) - holding.keys()]


def idle_findings(recording: SlicesRecording, at: int) -> list[str]:
    """Pods of one slice that wait at `at` although there is a legal place for it."""
    wanted = recording.note(notes.WANTED)
    if not wanted or not recording.timelines("Pod"):
        return ["no pod is known to ask for a slice: who waits in vain cannot be told"]
    return idle(waiting(recording, at), wanted, held(recording, at), models(recording))


def idle(waiting: Iterable[str], wanted: Mapping[str, str], held: Held, gpus: Sequence[GpuModel]) -> list[str]:
    """Of the pods `waiting` those that want one slice for which there is a legal place, as sentences."""
    free = {name: free_places(wanted[name], held, gpus) for name in waiting if name in wanted}
    return [f"pod {name} waits, {wanted[name]} could stand at {places[0]}" for name, places in free.items() if places]


def free_places(profile: str, held: Held, gpus: Sequence[GpuModel]) -> list[str]:
    """Where `profile` could stand beside what is held, as `gpu:start`; also beside what is illegal."""
    standing: dict[int, list[Slice]] = defaultdict(list)
    for place in _all(held):
        size = gpus[place.gpu].profile(place.profile).size
        standing[place.gpu].append(Slice(str(place.gpu), place.profile, place.start, size, ""))
    return [
        start
        for gpu, model in enumerate(gpus)
        if any(one.name == profile for one in model.profiles)
        for start in free_starts(standing[gpu], [str(gpu)], profile, {one.name: one for one in model.profiles})
    ]


def refusal_findings(recording: SlicesRecording, pods: Iterable[str]) -> list[str]:
    """Of `pods` those that were not told by the scheduler that there is no device for them."""
    told = {name: unscheduled(recording, name) for name in pods}
    return [
        f"pod {name} was told {words}"
        for name, words in told.items()
        if not any(reason == "Unschedulable" and REFUSED in message for reason, message in words)
    ]


def on_a_node(pod: Manifest) -> bool:
    """Whether the scheduler has given a pod a node."""
    return bool(dig(pod, "spec", "nodeName"))


def decided(pod: Manifest) -> bool:
    """Whether the scheduler has looked at a pod and its claim: it has a node, or was refused for want of devices."""
    conditions: list[Manifest] = dig(pod, "status", "conditions", default=[])
    return on_a_node(pod) or any(REFUSED in str(one.get("message", "")) for one in conditions)


def waiting(recording: SlicesRecording, at: int) -> list[str]:
    """Pods that have no node at `at`, in order of creation."""
    return [name for name, pod in _pods(recording, at).items() if not on_a_node(pod)]


def _bound(recording: SlicesRecording, at: int) -> set[str]:
    return {name for name, pod in _pods(recording, at).items() if on_a_node(pod)}


def _pods(recording: SlicesRecording, at: int) -> dict[str, Manifest]:
    """The pods that there are at `at`, in order of creation."""
    seen = {name: history.as_of(at) for name, history in recording.timelines("Pod").items()}
    return {name: pod for name, pod in seen.items() if pod is not None}


def _all(held: Held) -> list[Place]:
    return [place for places in held.values() for place in places]


def by_profile(held: Held) -> Counter[str]:
    """How many of each profile are held."""
    return Counter(place.profile for place in _all(held))
