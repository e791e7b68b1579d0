"""The endpoint picker is replaced while streams run, as an upgrade of its Deployment does (-m upgrade).

llm-d's is replaced by its own version, the only one that can be built; that of the inference extension by its next. The
old one is asked to end (SIGTERM) before the new one is started, as a Deployment with strategy Recreate does; the pool
says FailOpen, so that no request has a reason to fail in the gap.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpuassay import MUST, SHOULD, Measure, Note, behaviour
from gpuassay.load.plan import ClosedLoop
from gpuassay.presence import must_have
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Cache, Latency, Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import churn, routing
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from suites.variants import Deviation, per_variant

pytestmark = pytest.mark.upgrade

TERMINATION = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"
FULL_DUPLEX = "https://github.com/envoyproxy/envoy/pull/41276"
FAIL_OPEN = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/#endpointpickerfailuremode"
PRECISE = "https://github.com/llm-d/llm-d-kv-cache"

STREAMS, AT_ONCE, TOKENS, REPLICAS, ASKS = 160, 8, 64, 4, 16
LATENCY = Latency(inter_token=0.01, factor_under_load=1.0, max_running=64, constant_ttft=0.02)
ENDS_WITHIN = 15.0
"""Seconds that the old process is given to finish its streams, half of a Pod's grace."""

GAP = Note("gap", dict[str, int], "when the old picker was asked to end and when the new one served, monotonic ns")


REPLACED = Note("replaced", list[str], "version of the picker before and after")
PICKERS = {"llm-d": set[str](), "gaie-1.4.0": {"program:gaie-epp", "program:gaie-epp@1.4.0"}}
"""Which picker is replaced, and what that takes."""


def _known(behaviour: str, _: str) -> Deviation | None:
    if behaviour != "llmd.upgrade.no-request-lost":
        return None
    return Deviation(
        tuple(PICKERS), FULL_DUPLEX, "in full-duplex mode Envoy fails open only once it has noticed that the picker is "
        "gone", shows=r"begun without a picker: .*http-500", racy=True,
    )  # fmt: skip


@per_variant(PICKERS, _known, system="routing", timeout=90)
def picker_replaced(lab: RoutingLab, variant: str) -> None:
    """160 streams, 8 at a time; meanwhile the picker is replaced; then 16 prompts are cached behind it, and asked."""
    upgraded = variant != "llm-d"
    arm = Arm(
        profile="approximate" if upgraded else "precise", picker=variant, replicas=REPLICAS, cache=Cache(),
        latency=LATENCY, failure_mode="FailOpen",
    )  # fmt: skip
    with opened(lab, arm) as site:
        prompts = {prompt.label: prompt for prompt in prompt_set([96] * 12, seed=181)}
        order = list(itertools.islice(itertools.cycle(prompts), STREAMS))
        picker, before = site.picker, _served(site.replicas)
        with ThreadPoolExecutor(1) as aside:
            running = aside.submit(
                site.load, "streams", prompts, order, ClosedLoop(concurrency=AT_ONCE), max_tokens=TOKENS
            )
            # a dozen answers are there: streams are under way
            lab.until(lambda: _served(site.replicas) >= before + 12 or running.done(), "streams run")
            process = picker.child.process
            assert process is not None
            lab.note_under(GAP, "asked to end", time.monotonic_ns())
            process.stop(ENDS_WITHIN)
            older = picker.version
            if upgraded:
                picker.become("gaie")
            lab.note(REPLACED, [older, picker.version])
            picker.start()
            lab.note_under(GAP, "serves", time.monotonic_ns())
            running.result()
        after = {prompt.label: prompt for prompt in prompt_set([200] * ASKS, seed=182, prefix="after")}
        chosen = [site.replicas[i % REPLICAS] for i in range(ASKS)]
        random.Random(18).shuffle(chosen)  # in turn, round robin would answer in the same turn
        site.warm(dict(zip(after, chosen, strict=True)), after)
        site.ask("after", list(after.values()))


def _served(replicas: Iterable[Replica]) -> float:
    """How many requests the model servers have answered."""
    return sum(row["value"] for one in replicas for row in one.metrics() if row["name"] == "vllm:request_success_total")


def _begun(recording: RoutingRecording) -> tuple[list[RequestRow], list[RequestRow]]:
    """Streams that were under way when the old picker was asked to end, and those begun before the new one served."""
    rows, gap = recording.asks("streams"), recording.note(GAP)
    ended, serves = gap["asked to end"], gap["serves"]
    under_way = [row for row in rows if row.start_ns < ended < row.end_ns]
    between = [row for row in rows if ended <= row.start_ns < serves]
    must_have(under_way, "streams that were under way when the picker was asked to end")
    return under_way, must_have(between, "streams that began before the new picker served")


@behaviour(
    "llmd.upgrade.under-way-finish", level=MUST, spec=TERMINATION, mutant="gateway-hurries",
    red_when="a stream that is under way when its endpoint picker is replaced is cut",
)  # fmt: skip
def test_streams_under_way_finish(picker_replaced: RoutingRecording, measure: Measure) -> None:
    """Each stream that is under way when the picker is asked to end is answered in full."""
    under_way, _ = _begun(picker_replaced)
    measure.value(under_way=len(under_way))
    assert not routing.failure_findings(under_way)


@behaviour(
    "llmd.upgrade.no-request-lost", level=MUST, spec=FAIL_OPEN, mutant="gateway-hurries",
    red_when="a stream is refused, cut or answered twice because its endpoint picker is replaced",
)  # fmt: skip
def test_no_request_is_lost(picker_replaced: RoutingRecording, measure: Measure) -> None:
    """Of 160 streams, some begun while there is no picker, each is answered in full, once: the pool fails open."""
    rows, (_, between) = picker_replaced.asks("streams"), _begun(picker_replaced)
    lost = [row for row in between if not row.ok]
    gap = picker_replaced.note(GAP)
    measure.value(gap_s=(gap["serves"] - gap["asked to end"]) / 1e9, begun_in_the_gap=len(between), lost=len(lost))
    others = [row for row in rows if row not in between]
    assert len(rows) == STREAMS and not routing.failure_findings(others), (
        f"lost outside the gap: {routing.shown(row for row in others if not row.ok)}"
    )
    assert not lost, f"begun without a picker: {routing.shown(lost)}"


@behaviour(
    "llmd.upgrade.streams-go-on", level=SHOULD, spec=FAIL_OPEN, mutant="gateway-hurries", timed=True,
    red_when="no stream ends for two seconds while the endpoint picker is replaced",
)  # fmt: skip
def test_streams_go_on(picker_replaced: RoutingRecording, measure: Measure) -> None:
    """While the picker is replaced there are never 2 s in which none of the streams ends."""
    rows = picker_replaced.asks("streams")
    measure.value(longest_s=churn.longest_pause(rows))
    assert not churn.pause_findings(rows)


@behaviour(
    "llmd.upgrade.asked-again", level=MUST, spec=FAIL_OPEN, mutant="picker-not-asked", timed=True,
    red_when="the gateway goes on without its endpoint picker although the new one serves",
)  # fmt: skip
def test_the_new_picker_is_asked(picker_replaced: RoutingRecording) -> None:
    """Once the new picker serves, each request is answered with its mark."""
    assert not routing.asked_findings(must_have(picker_replaced.asks("after"), "requests after it", ASKS))


@behaviour(
    "llmd.upgrade.hits-again", level=MUST, spec=PRECISE, mutant="picker-random", timed=True,
    red_when="the new endpoint picker does not learn what model servers cache from then on",
)  # fmt: skip
def test_prefixes_are_hit_again(picker_replaced_llm_d: RoutingRecording, measure: Measure) -> None:
    """Of 16 prompts that are cached behind the new picker's back at least 15 go to the replica that has them."""
    recording = picker_replaced_llm_d
    score = routing.direct_warm(recording.asks("after"), recording.note(notes.WARMED), REPLICAS)
    measure.value(found=score.hits, asked=score.asks)
    assert not routing.direct_warm_findings(score)
