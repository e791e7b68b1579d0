"""The allocator's contract: generated pools and claims, whose outcome an oracle knows by trying everything.

Pools are incomplete, superseded or invalid, devices are tainted, counted or shared, claims ask for devices that are
alike, or for all. Real are scheduler, API server and the controller of claims; `--slices-seed N` gives other cases.
"""

from __future__ import annotations

import msgspec

from gpuassay import MUST, Lab, Measure, Note, behaviour, known_defect, scenario
from gpuassay.presence import must_have
from gpuassay.systems.slices.acts import allocator
from gpuassay.systems.slices.judge import allocator as judged
from gpuassay.systems.slices.model.pools import (
    ALL,
    COUNTED,
    NO_EXECUTE,
    NO_SCHEDULE,
    PLAIN,
    SHARED,
    Ask,
    Case,
    Device,
    Kind,
    Slice,
    Want,
    cases,
)
from gpuassay.systems.slices.options import CHOSEN
from gpuassay.systems.slices.readings import SlicesRecording

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
COUNTERS = "https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/4815-dra-partitionable-devices"
CAPACITY = "https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5075-dra-consumable-capacity"
COUNT, MANY = 16, 200
"""Cases of each kind; with `--full`."""


def _play(lab: Lab, kind: Kind) -> None:
    lab.note(judged.SEED, CHOSEN.seed)
    with allocator.opened(lab) as site:
        site.play(cases(CHOSEN.seed, MANY if lab.full else COUNT, [kind]))


@scenario(needs=allocator.NEEDS, timeout=150)
def plain_pools(lab: Lab) -> None:
    """Pools of whole devices: generations, taints, devices that must be alike, claims for all."""
    _play(lab, PLAIN)


@scenario(needs=allocator.NEEDS, timeout=150)
def shared_devices(lab: Lab) -> None:
    """Pools of which some devices are given out in parts of their memory."""
    _play(lab, SHARED)


@scenario(needs=allocator.NEEDS, timeout=150)
def counted_devices(lab: Lab) -> None:
    """Pools whose devices take units of counters that they share."""
    _play(lab, COUNTED)


def _held(recording: SlicesRecording) -> None:
    """Every claim got what the oracle allows, or waits because there is nothing; some of either."""
    every = [
        given
        for prefix, case in recording.note(judged.CASES).items()
        for given in judged.outcomes(recording, prefix, case)
    ]
    must_have([one for one in every if one is not None], "claims that hold devices")
    must_have([one for one in every if one is None], "claims that wait")
    found = [f"{prefix}: {'; '.join(words)}" for prefix, words in judged.wrong(recording)]
    small = {prefix: msgspec.json.encode(case).decode() for prefix, case in recording.note(judged.SHRUNK).items()}
    assert found == [], f"seed {recording.note(judged.SEED)}: {found}\nsmallest: {small}\n{recording.timeline_text()}"
    assert judged.ghosts(recording) == [], recording.timeline_text()


RED_WHEN = "a claim waits although devices satisfy it, or holds one of an outdated or invalid pool, or one too many"


@behaviour("slices.allocator.plain", level=MUST, spec=CLAIMS, red_when=RED_WHEN, mutant="selectors-lost")
def test_pools_are_given_out_as_the_oracle_says(plain_pools: SlicesRecording, measure: Measure) -> None:
    """In generated pools with taints, generations and constraints, every claim that can be served is, and validly."""
    _held(plain_pools)
    measure.value(cases=len(plain_pools.note(judged.CASES)))


@behaviour("slices.allocator.shared", level=MUST, spec=CAPACITY, red_when=RED_WHEN, mutant="selectors-lost")
def test_parts_of_devices_are_given_out_as_the_oracle_says(shared_devices: SlicesRecording) -> None:
    """In generated pools of devices shared by memory, every claim that can be served is, and no memory is overdrawn."""
    _held(shared_devices)


@behaviour("slices.allocator.counted", level=MUST, spec=COUNTERS, red_when=RED_WHEN, mutant="counters-ignored")
def test_counted_devices_are_given_out_as_the_oracle_says(counted_devices: SlicesRecording) -> None:
    """In generated pools with shared counters, every claim that can be served is, and no counter is overdrawn."""
    _held(counted_devices)


# --- what Kubernetes 1.36 cannot do, each reduced to the smallest case -----------------------------------------------

ONE = {"units": 1}


def _counted(name: str, *devices: Device, units: int, driver: int = 0) -> list[Slice]:
    return [
        Slice(name, driver, count=2, counters={"units": units}),
        Slice(name, driver, count=2, devices=list(devices)),
    ]


REDUCED = {
    "tolerated": Case([Slice("pool", devices=[Device("bad", taint=NO_EXECUTE)])], [Ask([Want(tolerates=True)])]),
    "tainted": Case(
        _counted("pool", Device("bad", taint=NO_SCHEDULE, uses=ONE), Device("good", uses=ONE), units=1), [Ask([Want()])]
    ),
    "alike": Case(
        _counted(
            "pool", Device("odd", numa=0, uses=ONE), Device("one", numa=1, uses=ONE), Device("two", numa=1, uses=ONE),
            units=2,
        ),
        [Ask([Want(2)], alike=True)],
    ),
    "drivers": Case(
        [
            *_counted("pool", Device("one", "a", uses=ONE), units=1),
            *_counted("pool", Device("two", "b", uses=ONE), units=1, driver=1),
        ],
        [Ask([Want(model="a"), Want(model="b")])],
    ),
}  # fmt: skip
PREFIXES = Note("reduced", dict[str, str], "prefix of each reduced case's objects")


@scenario(needs=allocator.NEEDS, timeout=60)
def reduced(lab: Lab) -> None:
    """The smallest cases of known defects, side by side."""
    with allocator.opened(lab) as site:
        site.play(list(REDUCED.values()), shrink=False)
        lab.note(PREFIXES, dict(zip(REDUCED, lab.noted(judged.CASES), strict=True)))


ELSEWHERE = Case(
    [Slice("pool", devices=[Device("one")]), Slice("other", count=2, counters={"units": 1}, elsewhere=True)],
    [Ask([Want(ALL)])],
)
"""A device here, and a pool of another node of which one of two slices is missing."""


@scenario(needs=allocator.NEEDS, timeout=60, alone="cluster")
def incomplete_elsewhere(lab: Lab) -> None:
    """A claim for all devices of a node while a pool of another node is incomplete."""
    with allocator.opened(lab) as site:
        site.play([ELSEWHERE], shrink=False)
        lab.note(PREFIXES, dict(zip(["elsewhere"], lab.noted(judged.CASES), strict=True)))


def _served(recording: SlicesRecording, name: str) -> None:
    """The claim of a reduced case, which can be served, is; and validly."""
    prefix = recording.note(PREFIXES)[name]
    found = dict(judged.wrong(recording)).get(prefix, [])
    assert found == [], f"{name}: expected the claim to be served, seen {'; '.join(found)}\n{recording.timeline_text()}"


LEAK = "https://github.com/kubernetes/kubernetes/issues/140436"


@known_defect(
    LEAK, "counters of a device that is then passed over for its taint stay taken for the rest of the search",
    shows="tainted: expected the claim to be served, seen claim 0 waits, although it could have pool/good",
)  # fmt: skip
@behaviour(
    "slices.allocator.tainted-partition", level=MUST, spec=COUNTERS,
    red_when="a tainted partition of a GPU keeps the others of that GPU from being given out",
)  # fmt: skip
def test_a_tainted_partition_does_not_block_the_others(reduced: SlicesRecording) -> None:
    """Of two partitions that take the same counter, and of which one is tainted, the other is given out."""
    _served(reduced, "tainted")


@known_defect(
    LEAK, "counters of a device that is then passed over for a constraint stay taken for the rest of the search",
    shows="alike: expected the claim to be served, seen claim 0 waits, although it could have pool/one",
)  # fmt: skip
@behaviour(
    "slices.allocator.alike-partitions", level=MUST, spec=COUNTERS,
    red_when="a claim for two partitions that are alike waits although there are two",
)  # fmt: skip
def test_partitions_that_are_alike_are_found(reduced: SlicesRecording) -> None:
    """A claim for two partitions of one NUMA node gets them, even if the first partition tried is of another node."""
    _served(reduced, "alike")


@known_defect(
    "https://github.com/kubernetes/kubernetes/issues/140434",
    "counters are kept by the name of the pool alone, which drivers share that call their pool like the node",
    shows="drivers: expected the claim to be served, seen claim 0 waits, although it could have pool/one",
)
@behaviour(
    "slices.allocator.pools-of-one-name", level=MUST, spec=COUNTERS,
    red_when="two drivers whose pools have one name take each other's counters",
)  # fmt: skip
def test_pools_of_two_drivers_with_one_name_are_apart(reduced: SlicesRecording) -> None:
    """A claim for a partition of each of two drivers, whose pools have the node's name, gets both."""
    _served(reduced, "drivers")


@known_defect(
    "https://github.com/kubernetes/kubernetes/blob/v1.36.2/staging/src/k8s.io/dynamic-resource-allocation/structured/internal/incubating/pools_incubating.go",
    "a slice of counters counts as one of every node, and an incomplete pool refuses claims for all, whosever it is",
    shows="elsewhere: expected the claim to be served, seen claim 0 waits, although it could have pool/one",
)
@behaviour(
    "slices.allocator.incomplete-elsewhere", level=MUST, spec=COUNTERS,
    red_when="a claim for all devices of a node waits because a pool of another node is incomplete",
)  # fmt: skip
def test_a_pool_of_another_node_does_not_matter(incomplete_elsewhere: SlicesRecording) -> None:
    """A claim for all devices gets those of its node while a pool with counters of another node is incomplete."""
    _served(incomplete_elsewhere, "elsewhere")


@known_defect(
    "https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/controller/devicetainteviction/device_taint_eviction.go#L1235",
    "of tolerations only those that name the effect NoExecute are heeded: who tolerates all is placed, and evicted",
    shows="tolerated: expected the claim to be served, seen claim 0 waits, although it could have pool/bad",
)
@behaviour(
    "slices.allocator.tolerates-all", level=MUST, spec=CLAIMS,
    red_when="a pod whose claim tolerates every taint is evicted from a device with a NoExecute taint",
)  # fmt: skip
def test_who_tolerates_every_taint_is_not_evicted(reduced: SlicesRecording) -> None:
    """A claim whose toleration names neither key nor effect keeps a device that has a NoExecute taint."""
    _served(reduced, "tolerated")
