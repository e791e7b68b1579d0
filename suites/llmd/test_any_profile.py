"""What every claim of a picker comes to, seen by requests alone: by prefix, by load, or at random.

Each claim has an arm of ours; at somebody's gateway the one that it is said to be is judged.
"""

from __future__ import annotations

from collections import Counter

from gpuassay import MUST, SHOULD, Inconclusive, Measure, Note, behaviour, scenario
from gpuassay.load.plan import ClosedLoop
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.anywhere import QUICK, held_busy, names_of
from gpuassay.systems.llmd.acts.deployment import fresh_seed, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import claims, routing
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.claims import APPROXIMATE, CLAIMS, FORGET, LEAST_LOADED, RANDOM, of_claims, per_claim

SPEC = "https://gateway-api-inference-extension.sigs.k8s.io/guides/epp-configuration/config-text/"
HERDS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/1700"
OPENAI = "https://platform.openai.com/docs/api-reference/completions/object"

EACH = 12
"""Cold prompts for each model server."""
MOST_COLD = 192
TOKENS = 200
PROMPTS, REPEATS = 8, 3
AT_ONCE = 4
"""Requests of the burst for each model server."""
BURST_TOKENS = 16

BUSY_ONE = Note("busy_one", str, "the model server that was kept busy")


@per_claim(timeout=60)
def claim_asked(lab: RoutingLab, claim: str) -> None:
    """New prompts are asked one by one, eight of them four times, and four for each model server at once."""
    seed = fresh_seed(lab, 51)
    with opened(lab, Arm(profile=claim, replicas=4, latency=QUICK)) as site:
        lab.note(notes.SERVERS, names_of(site))
        cold = min(EACH * len(site.replicas), MOST_COLD)
        site.scrape("before the cold ones")
        site.ask("cold", prompt_set([TOKENS] * cold, seed=seed, prefix="cold"))
        site.scrape("after the cold ones")
        prompts = prompt_set([TOKENS] * PROMPTS, seed=seed, prefix="again")
        for number in range(1 + REPEATS):
            site.ask("first" if number == 0 else "repeat", prompts)
        burst = {
            one.label: one
            for one in prompt_set([TOKENS] * AT_ONCE * len(site.replicas), seed=seed, prefix="burst")
        }  # fmt: skip
        site.scrape("before the burst")
        site.load("burst", burst, list(burst), ClosedLoop(len(burst)), max_tokens=BURST_TOKENS)
        site.scrape("after the burst")


@of_claims("claim_asked", *CLAIMS)
@behaviour(
    "llmd.any-profile.answers-with-usage", level=MUST, spec=OPENAI,
    red_when="a request fails, or an answer does not say how many tokens prompt and answer had",
    mutant="gateway-hides-usage",
)  # fmt: skip
def test_every_answer_tells_its_usage(claim_asked: RoutingRecording) -> None:
    """Every response, streamed or not, reports how many tokens prompt and answer have."""
    whole = [row for wave in ("cold", "first", "repeat") for row in claim_asked.asks(wave)]
    streams = claim_asked.asks("burst")
    assert not routing.failure_findings([*whole, *streams])
    assert not claims.usage_findings(whole, 1) + claims.usage_findings(streams, BURST_TOKENS)


@of_claims("claim_asked", *CLAIMS)
@behaviour(
    "llmd.any-profile.cold-spread", level=MUST, spec=SPEC,
    red_when="prompts that nobody has asked before pile up on some model servers although none is busy",
    mutant="pool-only-shrinks",
)  # fmt: skip
def test_new_prompts_are_spread(claim_asked: RoutingRecording, measure: Measure) -> None:
    """Of prompts that share nothing, asked one by one, no model server gets more than an even choice would give it."""
    names = claim_asked.note(notes.SERVERS)
    rows = claim_asked.asks("cold")
    before, after = claim_asked.metrics("before the cold ones"), claim_asked.metrics("after the cold ones")
    places = claims.placed(rows, before, after)
    measure.value(most=max(places.values(), default=0), asked=len(rows), servers=len(names))
    assert not routing.failure_findings(rows) + claims.hot_findings(places, names)


@of_claims("claim_asked", RANDOM)
@behaviour(
    "llmd.any-profile.random-is-even", level=MUST, spec=SPEC,
    red_when="a picker declared random prefers some model servers", mutant="pool-only-shrinks",
)  # fmt: skip
def test_a_random_choice_is_even(claim_asked: RoutingRecording) -> None:
    """A picker declared random gives every model server its share of new prompts."""
    rows = claim_asked.asks("cold")
    routing.require_told(rows)
    assert not routing.uniformity_findings(rows, claim_asked.note(notes.SERVERS), len(rows))


@of_claims("claim_asked", *CLAIMS)
@behaviour(
    "llmd.any-profile.no-hot-replica", level=SHOULD, spec=HERDS, timed=True,
    red_when="of a burst at an idle pool, one model server gets far more than its share",
    mutant="pool-only-shrinks",
)  # fmt: skip
def test_a_burst_makes_no_replica_hot(claim_asked: RoutingRecording, measure: Measure) -> None:
    """Of a burst of new prompts at an idle pool, no model server gets more than an even choice would give it."""
    names = claim_asked.note(notes.SERVERS)
    rows = claim_asked.asks("burst")
    places = claims.placed(rows, claim_asked.metrics("before the burst"), claim_asked.metrics("after the burst"))
    measure.value(most=max(places.values(), default=0), asked=len(rows), servers=len(names))
    assert not routing.failure_findings(rows) + claims.hot_findings(places, names)


@of_claims("claim_asked", APPROXIMATE)
@behaviour(
    "llmd.any-profile.repeats-stick", level=MUST, spec=SPEC,
    red_when="a picker declared prefix-aware sends a prompt elsewhere than before", mutant="picker-random",
)  # fmt: skip
def test_a_picker_that_remembers_sends_repeats_where_they_went(claim_asked: RoutingRecording) -> None:
    """A picker declared prefix-aware sends each of 8 prompts to one replica all four times."""
    rows = claim_asked.asks("first") + claim_asked.asks("repeat")
    assert not routing.failure_findings(rows) + routing.stickiness_findings(rows)


@of_claims("claim_asked", *FORGET)
@behaviour(
    "llmd.any-profile.repeats-scatter", level=MUST, spec=SPEC,
    red_when="prompts stick to model servers although the picker is declared blind to prompts", mutant="picker-sticks",
)  # fmt: skip
def test_a_picker_that_looks_at_no_prompt_ties_none(claim_asked: RoutingRecording) -> None:
    """A picker declared blind to prompts sends repeats to their former replica no more often than chance."""
    rows = claim_asked.asks("first") + claim_asked.asks("repeat")
    names = claim_asked.note(notes.SERVERS)
    assert not routing.failure_findings(rows) + claims.scatter_findings(rows, len(names))


@scenario(system="routing", outside=True, timeout=60)
def one_busy(lab: RoutingLab) -> None:
    """One model server is kept busy directly; meanwhile new prompts are asked of the gateway."""
    with opened(lab, Arm(profile=LEAST_LOADED, replicas=4, latency=QUICK)) as site:
        lab.note(notes.SERVERS, names_of(site))
        chosen = site.replicas[-1]
        lab.note(BUSY_ONE, chosen.name)
        prompts = prompt_set([TOKENS] * EACH * len(site.replicas), seed=fresh_seed(lab, 52), prefix="beside")
        with held_busy(site, chosen):
            site.ask("getting to know", prompt_set([TOKENS] * 8, seed=fresh_seed(lab, 53), prefix="know"))
            site.ask("beside", prompts)


@behaviour(
    "llmd.any-profile.busy-avoided", level=MUST, spec=SPEC, timed=True,
    red_when="a picker declared load-aware sends new requests to a busy model server as often as to others",
    mutant="picker-random",
)  # fmt: skip
def test_a_busy_replica_is_avoided(one_busy: RoutingRecording, measure: Measure) -> None:
    """While one model server is busy, a picker declared load-aware gives it next to none of the new prompts."""
    if not (one_busy.observed("the model server is busy") and one_busy.observed("it still is")):
        raise Inconclusive("the model server was not busy all the time, or its metrics do not tell")
    rows = one_busy.asks("beside")
    routing.require_told(rows)
    places = Counter(str(row.served_by) for row in routing.answered(rows))
    measure.value(at_the_busy_one=places[one_busy.note(BUSY_ONE)], asked=len(rows))
    found = claims.idle_findings(places, one_busy.note(BUSY_ONE), len(one_busy.note(notes.SERVERS)))
    assert not routing.failure_findings(rows) + found
