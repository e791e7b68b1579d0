"""Approximate prefix routing: the picker remembers where it sent which prefix, and knows nothing else.

Picks are asked of the picker alone. Where a scenario needs a prefix on a certain replica, it allows that one only, as
a gateway does with a subset.
"""

from __future__ import annotations

from gpuassay import INFO, MUST, SHOULD, Note, behaviour, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import pick, read_again
from gpuassay.systems.llmd.component.simulator import Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import drawn_findings, only_findings, placed_findings
from gpuassay.systems.llmd.model.chance import chance_limit
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.prefixes import beginning

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/pkg/epp/framework/plugins/scheduling/scorer/prefix"

REPLICAS = 4
NAMES = [f"model-server-{i}" for i in range(REPLICAS)]
DRAWING = NAMES[0]
"""The replica on which prefixes are put that must not draw other requests."""
TOKENS = 256
FEW = 64
"""Tokens of prompts that many are needed of: the picker remembers 896 blocks of 64 bytes for each replica."""
COLD = 96


GONE = Note("gone", str, "the replica whose Pod was deleted; none where all prompts drew to one", default=None)
PLACED = Note("placed", dict[str, str | None], "the replica that served each prompt before, by label")
KEPT = Note("kept", dict[str, str | None], "the replica that served each prompt before the restart, by label")
LEFT = Note("left", int, "how many replicas are in the pool at the restart")


@scenario(system="routing", timeout=30)
def remembered(lab: RoutingLab) -> None:
    """Prompts repeat, prefixes of several lengths are placed on two replicas, a Pod is deleted, the EPP restarts."""
    prompts = prompt_set([TOKENS] * 8, seed=11)
    arm = Arm(profile="approximate", replicas=REPLICAS, gateway=None, cache=Cache(blocks=0))
    with opened(lab, arm) as site:
        assert site.routing.picker is not None
        pick(site, "cold", prompt_set([FEW] * COLD, seed=12, prefix="cold"))
        first = pick(site, "first", prompts)
        for _ in range(4):
            pick(site, "repeat", prompts)

        zero, one, two = site.replicas[0], site.replicas[1], site.replicas[2]
        longs = prompt_set([TOKENS] * 6, seed=13, prefix="long")
        pick(site, "placing", [beginning(long, 64) for long in longs], among=[one])
        pick(site, "placing", [beginning(long, 128) for long in longs], among=[two])
        pick(site, "longest", longs)

        salted = prompt_set([FEW] * 16, seed=14, prefix="salted")
        pick(site, "placing", salted, among=[zero], cache_salt="tenant-a")
        pick(site, "same salt", salted, cache_salt="tenant-a")
        pick(site, "other salt", salted, cache_salt="tenant-b")
        adapted = prompt_set([FEW] * 16, seed=15, prefix="adapted")
        pick(site, "placing", adapted, among=[zero])
        pick(site, "adapter", adapted, model="sql")

        placed = {row.label: row.served_by for row in first}
        gone = next((name for name in placed.values() if name != DRAWING), None)
        lab.note(GONE, gone)
        lab.note(PLACED, placed)
        if gone is not None:
            site.routing.endpoints.delete(gone)
            site.routing.picker.await_ready_pods(len(site.routing.endpoints.members()))
        pick(site, "pod gone", prompts)
        pick(site, "pod gone, again", prompts)

        after = pick(site, "before the restart", prompt_set([TOKENS] * 16, seed=16, prefix="kept"))
        lab.note(KEPT, {row.label: row.served_by for row in after})
        lab.note(LEFT, len(site.routing.endpoints.members()))
        read_again(site)
        pick(site, "after the restart", prompt_set([TOKENS] * 16, seed=16, prefix="kept"))


@behaviour(
    "llmd.approximate.repeat-sticks", level=MUST, spec=SPEC,
    red_when="a prompt is sent to another replica than before", mutant="prefix-ignored",
)  # fmt: skip
def test_a_repeated_prompt_goes_where_it_went_before(remembered: RoutingRecording) -> None:
    """Each of 8 prompts goes to the same replica all five times."""
    rows = remembered.asks("first") + remembered.asks("repeat")
    assert not routing.failure_findings(rows) + routing.stickiness_findings(rows)


@behaviour(
    "llmd.approximate.new-prefixes-spread", level=MUST, spec=SPEC,
    red_when="prompts that share nothing pile up on some replicas", mutant="one-endpoint-left",
)  # fmt: skip
def test_prompts_that_share_nothing_are_spread(remembered: RoutingRecording) -> None:
    """96 prompts without a common prefix are spread evenly over four replicas."""
    assert not routing.uniformity_findings(remembered.asks("cold"), NAMES, COLD)


@behaviour(
    "llmd.approximate.longest-prefix-wins", level=MUST, spec=SPEC,
    red_when="a replica with a shorter common prefix is preferred", mutant="prefix-ignored",
)  # fmt: skip
def test_the_replica_with_the_longest_prefix_is_picked(remembered: RoutingRecording) -> None:
    """Where one replica was sent 64 tokens of a prompt and another 128, the prompt goes to the second."""
    assert not only_findings(remembered.asks("longest"), {NAMES[2]})


@behaviour(
    "llmd.approximate.pod-gone-rerouted", level=MUST, spec=SPEC,
    red_when="prompts are sent to a deleted Pod, do not stick to their new replica, or leave a Pod that is still there",
    mutant="prefix-ignored",
)  # fmt: skip
def test_prompts_of_a_pod_that_is_gone_find_another_home(remembered: RoutingRecording) -> None:
    """After a Pod is deleted, its prompts stick to other replicas, and all other prompts stay where they were."""
    gone, placed = remembered.note(GONE), remembered.note(PLACED)
    rows, again = remembered.asks("pod gone"), remembered.asks("pod gone, again")
    stayed = [row for row in rows + again if placed[row.label] != gone]
    assert not (
        only_findings(rows + again, set(NAMES) - {gone})
        + routing.stickiness_findings(rows + again)
        + placed_findings(stayed, placed)
    )


@behaviour(
    "llmd.approximate.restart-forgets", level=INFO, spec=SPEC,
    red_when="a restarted endpoint picker still knows where prompts went, so it keeps undocumented state",
    mutant="one-endpoint-left",
)  # fmt: skip
def test_a_restarted_picker_has_forgotten(remembered: RoutingRecording) -> None:
    """After the endpoint picker restarts, prompts go to their former replica no more often than by chance."""
    kept, left = remembered.note(KEPT), remembered.note(LEFT)
    rows = remembered.asks("after the restart")
    assert not routing.failure_findings(rows)
    hits = sum(row.served_by == kept[row.label] for row in rows)
    assert hits <= (chance_limit(len(rows), left) if left > 1 else 0), f"{hits} of {len(rows)}: {routing.shown(rows)}"


@behaviour(
    "llmd.approximate.salt-honoured", level=MUST, spec=SPEC,
    red_when="a salted request does not go to the replica that has its prefix under the same salt",
    mutant="prefix-ignored",
)  # fmt: skip
def test_a_salted_prompt_sticks_under_its_own_salt(remembered: RoutingRecording) -> None:
    """A prompt with a cache_salt goes to the replica that it went to before with the same salt."""
    assert not only_findings(remembered.asks("same salt"), {DRAWING})


@behaviour(
    "llmd.approximate.salt-separates", level=MUST, spec=SPEC,
    red_when="a request is drawn to the replica that holds the prefix under another salt", mutant="one-endpoint-left",
)  # fmt: skip
def test_salts_do_not_share(remembered: RoutingRecording) -> None:
    """With another cache_salt, prompts go to the replica of the first salt no more often than by chance."""
    rows = remembered.asks("other salt")
    assert not drawn_findings(rows, {row.label: DRAWING for row in rows}, REPLICAS)


@behaviour(
    "llmd.approximate.adapter-separates", level=SHOULD, spec=SPEC,
    red_when="a request for an adapter is drawn to the replica that holds the prefix under the base model",
    mutant="one-endpoint-left",
)  # fmt: skip
def test_adapters_do_not_share(remembered: RoutingRecording) -> None:
    """For a LoRA adapter, prompts go to the replica that got them for the base model no more often than by chance."""
    rows = remembered.asks("adapter")
    assert not drawn_findings(rows, {row.label: DRAWING for row in rows}, REPLICAS)
