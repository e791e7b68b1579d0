"""Five accounts of who holds which slice must agree at rest: API, checkpoint, CDI files, silicon, and containers.

Containers are those that the node has, not those that the API tells of: a pod that was deleted by force is gone from
the API at once, while its processes may go on for as long as nobody ends them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from gpuassay.systems.slices import notes
from gpuassay.systems.slices.notes import Accounts, Contained
from gpuassay.systems.slices.readings import SlicesRecording

BEGIN = "begin"
"""The accounts before the first pod."""
ENDED = frozenset({"Succeeded", "Failed"})

DEVICE_PLUGIN = "device-plugin"


def findings(recording: SlicesRecording) -> list[str]:
    """Where the accounts differ, at every moment at which the recording has them; and what the last pod left behind."""
    taken = recording.note(notes.ACCOUNTS)
    slicer = recording.note(notes.SLICER) if taken else ""
    found = [f"at {label!r}: {words}" for label, one in taken.items() for words in differences(one, slicer)]
    first = taken.get(BEGIN)
    if first is None or "reboot" in recording.marks:
        return found  # an administrator cuts a rebooted GPU anew, so its slices are others
    for label, one in taken.items():
        if label != BEGIN and not one.pods:
            found += [f"at {label!r}: {words}" for words in left(first, one)]
    return found


def differences(accounts: Accounts, slicer: str) -> list[str]:
    """Where the accounts of one moment of rest contradict each other, as sentences; none means that they agree."""
    kinds = _static(accounts) if slicer == DEVICE_PLUGIN else _on_demand(accounts)
    return [*kinds, *_containers(accounts, slicer)]


def left(first: Accounts, last: Accounts) -> list[str]:
    """What is other than before the first pod, now that there is none any more."""
    before, after = Counter(first.silicon), Counter(last.silicon)
    return [f"slice {uuid} is gone from the silicon" for uuid in sorted((before - after).elements())] + [
        f"slice {uuid} is left in the silicon" for uuid in sorted((after - before).elements())
    ]


def _on_demand(accounts: Accounts) -> list[str]:
    api = {uid: sorted(one.slices) for uid, one in accounts.claims.items()}
    driver = {uid: sorted(ones) for uid, ones in accounts.driver.items()}
    found = _unequal("the API", api, "the driver's checkpoint", driver)
    if accounts.cdi is not None:
        cdi = {uid: sorted(ones) for uid, ones in accounts.cdi.items()}
        found += _unequal("the driver's checkpoint", driver, "CDI files", cdi)
    booked = Counter(uuid for ones in driver.values() for uuid in ones)
    there = Counter(accounts.silicon)
    found += [f"the driver's checkpoint has {uuid}, the silicon has not" for uuid in sorted(booked.keys() - there)]
    found += [f"the silicon has {uuid}, the driver's checkpoint has not" for uuid in sorted(there.keys() - booked)]
    found += [f"the driver's checkpoint has {uuid} for {count} claims" for uuid, count in booked.items() if count > 1]
    for one in accounts.claims.values():
        if not one.published:
            found.append(f"claim {one.name} holds a device that no complete pool of ResourceSlices has")
        if not one.users:
            found.append(f"claim {one.name} holds {_list(one.slices)} and is reserved for nobody")
        found += [
            f"claim {one.name} is reserved for a pod {uid} that there is not"
            for uid in one.users
            if uid not in accounts.pods
        ]
    return found


def _unequal(one: str, left_: Mapping[str, Sequence[str]], other: str, right: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{one} and {other} differ on claim {uid}: {_list(left_.get(uid, ()))} and {_list(right.get(uid, ()))}"
        for uid in sorted(left_.keys() | right.keys())
        if left_.get(uid) != right.get(uid)
    ]


def _static(accounts: Accounts) -> list[str]:
    """Of what was cut beforehand. The kubelet forgets pods late, so entries of those that are gone say nothing."""
    living = [ones for uid, ones in accounts.driver.items() if accounts.pods.get(uid, "Failed") not in ENDED]
    booked = Counter(one for ones in living for one in ones)
    found = [f"the kubelet gives {one} to {count} pods" for one, count in booked.items() if count > 1]
    strange = sorted({_plain(one) for one in booked} - set(accounts.silicon))
    return found + [f"the kubelet gives out {one}, which does not exist" for one in strange]


def _plain(device: str) -> str:
    """UUID of what a device of the plugin stands for: `MIG-x::1` is the second share of `MIG-x`."""
    return device.partition("::")[0]


def _containers(accounts: Accounts, slicer: str) -> list[str]:
    """What the node's containers have, against what the API and the books give to their pods."""
    given = _given(accounts, slicer)
    found: list[str] = []
    holding = _holding(accounts)
    for one in accounts.containers:
        if not one.processes:
            continue
        if one.uid not in accounts.pods:
            found.append(f"{_name(one)} still runs on {_list(one.slices)}: the API has no such pod")
        elif accounts.pods[one.uid] in ENDED:
            found.append(f"{_name(one)} still runs on {_list(one.slices)}: the API says that its pod has ended")
        elif strange := sorted(set(one.slices) - set(given.get(one.uid, ()))):
            found.append(f"{_name(one)} has {_list(strange)}, which the books give to others or nobody")
    lacking = {
        uid: sorted(set(given.get(uid, ())) - holding.get(uid, set()))
        for uid, phase in accounts.pods.items()
        if phase == "Running"
    }
    found += [
        f"pod {uid} runs by the API, and no live container on the node has its {_list(ones)}"
        for uid, ones in lacking.items()
        if ones
    ]
    return found + together_findings(accounts, slicer)


def together_findings(accounts: Accounts, slicer: str, partners: Iterable[frozenset[str]] = ()) -> list[str]:
    """Slices that live containers of two pods have; judged at any time, not only at rest.

    Not those of pods that share a claim, by the API or by `partners` (pairs of UIDs), nor shares of one device.
    """
    holding = _holding(accounts)
    lawful = {*partners} | {frozenset(pair) for one in accounts.claims.values() for pair in combinations(one.users, 2)}
    shares = {_plain(one) for ones in accounts.driver.values() for one in ones if one != _plain(one)}
    return [
        f"live containers of pods {first} and {second} both have {_list(both)}"
        for first, second in combinations(sorted(holding), 2)
        if (both := sorted(holding[first] & holding[second] - (shares if slicer == DEVICE_PLUGIN else set())))
        and frozenset((first, second)) not in lawful
    ]


def _holding(accounts: Accounts) -> dict[str, set[str]]:
    """UUIDs by pod, as its live containers have them."""
    holding: dict[str, set[str]] = defaultdict(set)
    for one in accounts.containers:
        if one.processes:
            holding[one.uid] |= set(one.slices)
    return holding


def _given(accounts: Accounts, slicer: str) -> dict[str, list[str]]:
    """UUIDs by pod, as the books have it."""
    if slicer == DEVICE_PLUGIN:
        return {uid: [_plain(one) for one in ones] for uid, ones in accounts.driver.items()}
    given: dict[str, list[str]] = defaultdict(list)
    for one in accounts.claims.values():
        for uid in one.users:
            given[uid] += one.slices
    return given


def _name(one: Contained) -> str:
    return f"container {one.name} of pod {one.pod} ({one.uid})"


def _list(uuids: Sequence[str]) -> str:
    return ", ".join(uuids) or "nothing"
