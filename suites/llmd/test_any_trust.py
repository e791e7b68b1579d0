"""What clients of a gateway may do to each other, by requests alone: steer, share caches, keep slots, cross models."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from gpuassay import MUST, SHOULD, Inconclusive, Measure, Note, behaviour, scenario
from gpuassay.load.headers import DESTINATION, DESTINATION_SERVED, SUBSET
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.anywhere import (
    QUICK,
    claimed,
    leave,
    model_named,
    names_of,
    running_in_all,
    session_of,
)
from gpuassay.systems.llmd.acts.deployment import fresh_seed, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import claims, routing
from gpuassay.systems.llmd.objects.prompts import prompt_set, synthetic
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.claims import APPROXIMATE, RANDOM, REMEMBER

PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals"
    "/004-endpoint-picker-protocol"
)
SALT = "https://docs.vllm.ai/en/latest/design/prefix_caching/"
ABORT = "https://docs.vllm.ai/en/latest/serving/openai_compatible_server/"
SESSIONS = "https://gateway-api.sigs.k8s.io/geps/gep-1619/"
OPENAI = "https://platform.openai.com/docs/api-reference/models"

STEERING = (DESTINATION, SUBSET, DESTINATION_SERVED, "x-envoy-original-dst-host", "x-data-parallel-host-port")
"""Headers by which gateway, picker and sidecars tell each other where a request goes; a client's own say nothing."""
ASKS = 24
STRANGER = "192.0.2.1:80"
"""An address that nobody has (RFC 5737)."""
TOKENS = 200

STREAMS, LONG, READ = 2, 512, 12
"""Streams for each model server, tokens of each answer, and events that are read before the client leaves."""
FREE_SECONDS = 4.0
"""How long model servers may take to drop requests whose clients have left."""

NAMED = Note("named", dict[str, str], "the model server that a client has named, by the prompt's label")
SALTED = Note("salted", bool, "whether the picker is said to look at prompts")


class Left(msgspec.Struct, frozen=True):
    """Streams that were left.

    Attributes:
        streams: how many were begun.
        begun: how many brought text.
        before: requests that all model servers had under way before.
        peak: the same while all streams ran.
        seconds: how long they would have gone on.
    """

    streams: int
    begun: int
    before: float | None
    peak: float | None
    seconds: float


class Named(msgspec.Struct, frozen=True):
    """What came of asking one model: HTTP status, and the model that the answer names."""

    asked: str
    status: int
    answered: str


LEFT = Note("left", Left, "streams that their clients left")
MODELS = Note("models", list[Named], "answers of each model behind the gateway, and of one that there is not")
SESSION_KEYS = Note("session_keys", list[str], "names of the headers by which the gateway knows a client again")
SESSION_HOME = Note("session_home", str, "who served the session's first request", default="")


@scenario(system="routing", outside=True, timeout=60)
def steered(lab: RoutingLab) -> None:
    """Clients name a model server by headers that are not theirs to set, and a place that is none."""
    with opened(lab, Arm(profile=claimed(lab, RANDOM), replicas=4, latency=QUICK)) as site:
        lab.note(notes.SERVERS, names_of(site))
        seed = fresh_seed(lab, 61)
        dice = random.Random(seed)
        for number, header in enumerate(STEERING):
            for prompt in prompt_set([TOKENS] * ASKS, seed=seed + number, prefix=f"steered{number}x"):
                one = dice.choice(site.replicas)  # in turn, round robin would answer in the same turn
                lab.note_under(NAMED, prompt.label, one.name)
                site.ask(f"steered/{header}", [prompt], headers={header: one.endpoint})
        strange = prompt_set([TOKENS] * 4, seed=seed, prefix="stranger")
        site.ask("stranger", strange, headers={DESTINATION: STRANGER})


@behaviour(
    "llmd.any-trust.clients-cannot-steer", level=MUST, spec=PROTOCOL,
    red_when="a client's own header chooses the model server, or sends a request to an address outside the pool",
    mutant="gateway-trusts-clients",
)  # fmt: skip
def test_clients_do_not_choose_the_model_server(steered: RoutingRecording) -> None:
    """Requests that name an endpoint by a header go there no more often than by chance, and never outside the pool."""
    servers = steered.note(notes.SERVERS)
    found = [
        sentence
        for header in STEERING
        for sentence in claims.steered_findings(
            steered.asks(f"steered/{header}"), steered.note(NAMED), len(servers), header
        )
    ]
    assert not found + claims.refused_or_answered(steered.asks("stranger"))


@scenario(system="routing", outside=True, timeout=60)
def salted(lab: RoutingLab) -> None:
    """Sixteen prompts are asked three times: twice under one cache salt, then under another."""
    with opened(lab, Arm(profile=claimed(lab, APPROXIMATE), replicas=4, latency=QUICK)) as site:
        lab.note(notes.CLAIM, claimed(lab, APPROXIMATE))
        prompts = prompt_set([TOKENS] * 16, seed=fresh_seed(lab, 62), prefix="salted")
        for wave, salt in (("first", "a"), ("same", "a"), ("other", "b")):
            site.ask(wave, prompts, cache_salt=f"{lab.token}-{salt}")


@behaviour(
    "llmd.any-trust.salt-sticks", level=MUST, spec=SALT,
    red_when="a salted prompt does not go where it went under the same salt", mutant="picker-random",
)  # fmt: skip
def test_a_salted_prompt_goes_where_it_went(salted: RoutingRecording) -> None:
    """A prompt with a cache salt goes to the replica that it went to before under the same salt."""
    claim = salted.note(notes.CLAIM)
    if claim not in REMEMBER:
        pytest.skip(f"from outside: a picker that is said to be {claim} looks at no prompt (--gateway-profile)")
    rows = salted.asks("first") + salted.asks("same")
    assert not routing.failure_findings(rows) + routing.stickiness_findings(rows)


@behaviour(
    "llmd.any-trust.salt-isolates", level=MUST, spec=SALT,
    red_when="an answer under one tenant's salt uses what another tenant's prompt left in the cache",
)  # fmt: skip
def test_salts_share_no_cache(salted: RoutingRecording) -> None:
    """A prompt that was sent before only under another cache_salt has no cached tokens."""
    if salted.outside is None:
        pytest.skip(
            "the simulated model servers' cache knows no salt: what a real engine shares is judged at a gateway"
        )
    rows = salted.asks("other")
    assert not routing.failure_findings(rows) + claims.shared_cache_findings(salted.asks("same"), rows)


SLOW = Latency(inter_token=0.02, factor_under_load=1.0, max_running=64, constant_ttft=0.0)


@scenario(system="routing", outside=True, timeout=60)
def streams_left(lab: RoutingLab) -> None:
    """Two long streams for each model server are begun, and left after twelve events."""
    with opened(lab, Arm(profile=claimed(lab, RANDOM), replicas=4, latency=SLOW)) as site:
        before = running_in_all(site)
        peak: list[float | None] = []
        count = STREAMS * len(site.replicas)
        told = leave(site, count, LONG, READ, lambda: peak.append(running_in_all(site)))
        lab.observe(lambda: (running_in_all(site) or 0) <= (before or 0), "slots are free", timeout=FREE_SECONDS)
        seconds = (LONG - READ) / told.tokens_per_second
        lab.note(LEFT, Left(count, told.begun, before, peak[0], seconds))


@behaviour(
    "llmd.any-trust.left-frees-slots", level=SHOULD, spec=ABORT, timed=True,
    red_when="model servers go on with requests whose clients have disconnected", mutant="gateway-asks-twice",
)  # fmt: skip
def test_requests_that_are_left_free_their_slots(streams_left: RoutingRecording, measure: Measure) -> None:
    """Within 4 s of a client's disconnecting, the model server has dropped its request."""
    left = streams_left.note(LEFT)
    measure.value(streams=left.begun, would_have_taken_s=round(left.seconds, 1))
    if left.before is None or left.peak is None:
        raise Inconclusive("a model server's metrics do not tell how many requests are under way")
    assert left.begun == left.streams, f"{left.begun} of {left.streams} streams brought text"
    if left.seconds < 2 * FREE_SECONDS:
        raise Inconclusive(f"the streams would have ended by themselves after {left.seconds:.1f} s: too soon to tell")
    if left.peak < left.before + left.streams / 2:
        raise Inconclusive(f"{left.peak:g} requests were under way, {left.streams} of them ours: others came and went")
    if streams_left.outside is None and not streams_left.observed("slots are free"):
        raise Inconclusive("our model servers are simulators, which go on: see llmd.gateway.leaving-frees-the-slot")
    assert streams_left.observed("slots are free"), "model servers went on with requests that their clients had left"


def _with_sessions(configuration: dict[str, Any]) -> None:
    configuration["plugins"].append({"type": "session-affinity-scorer"})
    for profile in configuration["schedulingProfiles"]:
        profile["plugins"].insert(0, {"pluginRef": "session-affinity-scorer", "weight": 100})


@scenario(system="routing", outside=True, timeout=60)
def in_session(lab: RoutingLab) -> None:
    """One request is asked, then new prompts with whatever the gateway gives its client to be known again by."""
    change = _with_sessions if lab.gateway is None else None
    with opened(
        lab, Arm(profile=claimed(lab, "least-loaded"), replicas=4, latency=QUICK, change_picker=change)
    ) as site:
        lab.note(notes.SERVERS, names_of(site))
        seed = fresh_seed(lab, 63)
        home, told = session_of(site, synthetic("session", TOKENS, seed))
        lab.note(SESSION_KEYS, sorted(told))
        lab.note(SESSION_HOME, home or "")
        if told:
            prompts = prompt_set([TOKENS] * 16, seed=seed, prefix="session")
            site.ask("session", prompts, headers=told)


@behaviour(
    "llmd.any-trust.session-stays", level=SHOULD, spec=SESSIONS,
    red_when="a gateway gives clients a session, and serves their next requests elsewhere", mutant="picker-random",
)  # fmt: skip
def test_a_session_stays_with_its_model_server(in_session: RoutingRecording) -> None:
    """With the token or cookie that a gateway gives, further requests go where the first went."""
    if not in_session.note(SESSION_KEYS):
        pytest.skip("no answer gives its client a session: neither x-session-token nor a cookie")
    rows = in_session.asks("session")
    assert not routing.failure_findings(rows) + claims.session_findings(rows, in_session.note(SESSION_HOME))


OTHER = "gpuassay/another"


@scenario(system="routing", outside=True, timeout=60)
def models_asked(lab: RoutingLab) -> None:
    """Each model behind the gateway is asked four times by its name, and one that there is not."""
    flags = ("--lora-modules", json.dumps({"name": OTHER, "path": "/"}))
    with opened(
        lab, Arm(profile=claimed(lab, RANDOM), replicas=2, latency=QUICK, simulator_flags=flags)
    ) as site:  # fmt: skip
        others = (OTHER,) if lab.gateway is None else lab.gateway.place.others
        prompts = prompt_set([32] * 4, seed=fresh_seed(lab, 64), prefix="model")
        models = (site.routing.model, *others, f"none-{lab.token}")
        found = [Named(model, *model_named(site, one, model)) for model in models for one in prompts]
        lab.note(MODELS, found)


@behaviour(
    "llmd.any-trust.models-apart", level=MUST, spec=OPENAI,
    red_when="a model that is asked for by name is answered by another, or not at all", mutant="gateway-swaps-models",
)  # fmt: skip
def test_each_model_answers_for_itself(models_asked: RoutingRecording) -> None:
    """Whoever asks for a model by its name is answered by that model."""
    asked = [one for one in models_asked.note(MODELS) if not one.asked.startswith("none-")]
    wrong = [one for one in asked if one.status != 200 or one.answered not in (one.asked, "")]
    assert asked and not wrong, "; ".join(f"{one.asked}: {one.status} by {one.answered or '?'}" for one in wrong)


@behaviour(
    "llmd.any-trust.unknown-model-refused", level=SHOULD, spec=OPENAI,
    red_when="a request for a model that does not exist is answered by another model, or refused with a 5xx",
    mutant="gateway-swaps-models",
)  # fmt: skip
def test_a_model_that_there_is_not_is_refused(models_asked: RoutingRecording) -> None:
    """A request for a model that does not exist is refused with a 4xx status."""
    asked = [one for one in models_asked.note(MODELS) if one.asked.startswith("none-")]
    wrong = [one for one in asked if not 400 <= one.status < 500]
    assert asked and not wrong, "; ".join(f"{one.asked}: {one.status} by {one.answered or '?'}" for one in wrong)
