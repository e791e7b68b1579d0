"""A picker bears the faults of its neighbours: others are served meanwhile, and it says what is wrong.

Neighbours are model servers' metrics pages, their KV-cache events, the tokenization service, Pods, and clients with
numbers at the borders. One of three replicas is at fault; the other two, and prompts that they have, must be found.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest

from gpuassay import MUST, SHOULD, behaviour, known_defect, scenario, wait
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.neighbours import (
    PAGES,
    PATIENCE,
    SCRAPES,
    Page,
    Watching,
    as_map,
    batch,
    faulty_metrics,
    publishing,
    stored,
)  # fmt: skip
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import neighbours as judge
from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.readings import NEIGHBOURS, RoutingRecording
from suites.variants import param

METRICS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals/003-model-server-protocol"
EVENTS = "https://docs.vllm.ai/en/latest/api/vllm/distributed/kv_events.html"
BORDER = 2**63

NUMBERS: dict[str, dict[str, int | float]] = {
    "max_tokens at int64's border": {"max_tokens": BORDER - 1},
    "max_tokens beyond int64": {"max_tokens": BORDER},
    "max_tokens below int64": {"max_tokens": -BORDER - 1},
    "n beyond int64": {"n": BORDER},
    "a number beyond doubles": {"temperature": 1e308},
}
HEADERS = ("x-slo-ttft-ms", "x-slo-tpot-ms", "x-request-deadline", "x-envoy-expected-rq-timeout-ms")
"""Headers that hold numbers."""


@scenario(system="routing", timeout=60)
def metrics_at_fault(lab: RoutingLab) -> None:
    """One replica's metrics address answers every kind of wrong page in turn; the others are asked for meanwhile."""
    arm = Arm(profile="least-loaded", replicas=3, gateway=None, cache=Cache(blocks=0), latency=NO_LATENCY)
    with opened(lab, arm) as site:
        faulty, *others = site.replicas
        watching = Watching(site)
        with faulty_metrics(faulty) as show:
            for fault, page in PAGES.items():

                def met(page: Page = page, fault: str = fault) -> None:
                    seen, least = show(page), 1 if page.delay else SCRAPES
                    what = f"the picker to read a page that is {fault}"
                    wait(seen, lambda count: count >= least, what=what, timeout=PATIENCE, delay=0.02)

                watching.during("metrics", fault, met, others=others)


@scenario(system="routing", timeout=60)
def events_at_fault(lab: RoutingLab) -> None:
    """Events in every form that engines have, and in forms that none should have; after each a replica is warmed."""
    arm = Arm(profile="precise-no-speculation", replicas=3, gateway=None, cache=Cache(), latency=NO_LATENCY)
    with opened(lab, arm) as site, publishing(site) as send:
        watching = Watching(site)
        first, second, _ = site.replicas
        topic = first.topic.encode()
        sequence = iter(range(10_000, 20_000))

        def publish(*frames: bytes, under: bytes = topic) -> None:
            send([under, struct.pack(">Q", next(sequence)), *frames])

        def sound(form: str) -> None:
            prompt = watching.prompt()
            event = stored(prompt)
            messages = {
                "array": batch(event),
                "map": batch(as_map(event)),
                "further fields": batch([*event, None, None, None, "full", None, "a field of tomorrow"]),
                "hashes of 32 bytes": batch(stored(prompt, hashes=lambda n: bytes([n + 1]) * 32)),
                "negative hashes": batch(stored(prompt, hashes=lambda n: -(2**62) - n)),
                "without a rank": msgspec.msgpack.encode([1.0, [event]]),
                "beside an unknown event": batch(["BlockRenamed", [1]], event),
                "beside a removal of nothing": batch(["BlockRemoved", [], "GPU"], event),
            }
            watching.during("events", form, lambda: publish(messages[form]), expected=first, prompt=prompt)

        for form in SOUND:
            sound(form)
        for fault, frames in HOSTILE.items():
            asked = watching.prompt()

            def hostile(frames: tuple[bytes, ...] = frames, asked: Prompt = asked) -> None:
                send([topic, *frames])
                second.complete(asked.text)

            watching.during("hostile events", fault, hostile, expected=second, prompt=asked)
        last = watching.prompt()

        def of_a_foreign_model() -> None:
            publish(batch(stored(last)), under=b"kv@10.9.8.7:8000@nobody/knows")
            second.complete(last.text)

        watching.during("hostile events", "a foreign model", of_a_foreign_model, expected=second, prompt=last)


SOUND = ("array", "map", "further fields", "hashes of 32 bytes", "negative hashes", "without a rank",
         "beside an unknown event", "beside a removal of nothing")  # fmt: skip
"""Forms in which a block may be announced."""

HASH = 2**63 + 5
"""A hash of 64 bits, as engines have them."""
_COUNT = struct.pack(">Q", 7)
HOSTILE: dict[str, tuple[bytes, ...]] = {
    "one frame": (),
    "two frames": (_COUNT,),
    "a short count": (b"\x01", batch(["AllBlocksCleared"])),
    "four frames": (_COUNT, batch(["AllBlocksCleared"]), b"more"),
    "no payload": (_COUNT, b""),
    "no msgpack": (_COUNT, b"\xc1\xff\x00"),
    "a number": (_COUNT, msgspec.msgpack.encode(5)),
    "no events": (_COUNT, batch()),
    "an unknown event": (_COUNT, batch(["BlockRenamed", [1]])),
    "an event without a name": (_COUNT, batch([])),
    "a name that is a number": (_COUNT, batch([7, [1]])),
    "no blocks": (_COUNT, batch(["BlockStored", [], None, [], 16, None, "GPU"])),
    "blocks of no size": (_COUNT, batch(["BlockStored", [HASH], None, list(range(16)), 0, None, "GPU"])),
    "blocks of negative size": (_COUNT, batch(["BlockStored", [HASH], None, list(range(16)), -16, None, "GPU"])),
    "more hashes than tokens": (_COUNT, batch(["BlockStored", [HASH, HASH + 1, HASH + 2], None, [1], 16, None, "GPU"])),
    "tokens beyond uint32": (_COUNT, batch(["BlockStored", [HASH], None, [2**40] * 16, 16, None, "GPU"])),
    "an unknown parent": (_COUNT, batch(["BlockStored", [HASH], HASH + 99, list(range(16)), 16, None, "GPU"])),
    "a removal of the unknown": (_COUNT, batch(["BlockRemoved", [HASH + 7], "GPU"])),
}
"""Frames after the topic that no sound engine sends."""


ADAPTER = "https://github.com/llm-d/llm-d-kv-cache/blob/v0.9.0/pkg/kvevents/engineadapter/vllm_adapter.go"
KNOWN = {
    "without a rank": "a batch without a rank is refused: that is how engines sent it before they had ranks",
    "beside an unknown event": "an unknown kind of event takes the whole batch with it, events that are understood too",
}
"""By form."""


def _form(name: str) -> Any:
    """A form as parameter."""
    return param(name, (ADAPTER, KNOWN[name]) if name in KNOWN else None)


@scenario(system="routing", timeout=60)
def others_at_fault(lab: RoutingLab) -> None:
    """A Pod without a port of the pool, one without an address, numbers at borders, a tokenizer that hangs."""
    arm = Arm(profile="precise", replicas=3, gateway=None, cache=Cache(), latency=NO_LATENCY)
    with opened(lab, arm) as site:
        watching, hands = Watching(site), site.routing.endpoints
        faulty, *others = site.replicas
        watching.during("pods", "no port of the pool", lambda: hands.set_active_ports(faulty.name, [1]), others=others)
        hands.restore(faulty.name)
        gone = {"status": {"podIP": None, "podIPs": None}}
        at = {"namespace": site.routing.namespace, "subresource": "status"}
        watching.during("pods", "no address", lambda: lab.api.patch("Pod", faulty.name, gone, **at), others=others)
        hands.restore(faulty.name)
        for name, fields in NUMBERS.items():
            watching.during("numbers", name, lambda: None, fields=fields)
        for name in HEADERS:
            for value in (BORDER - 1, BORDER, -BORDER - 1):
                watching.during("numbers", f"{name}: {value}", lambda: None, headers={name: str(value)})
        tokenizer = site.routing.tokenizer
        assert tokenizer is not None
        watching.during("tokenizer", "hangs", tokenizer.child.suspend, others=[])
        tokenizer.child.resume()


@behaviour(
    "llmd.neighbours.metrics-borne", level=MUST, spec=METRICS, timed=True, mutant="picker-frozen",
    red_when="one model server's wrong metrics page ends the picker, or holds up requests that others can serve",
)  # fmt: skip
@pytest.mark.parametrize("fault", PAGES)
def test_a_wrong_metrics_page_hurts_nobody_else(metrics_at_fault: RoutingRecording, fault: str) -> None:
    """While one replica's metrics are missing, wrong or late, the others are picked within 1 s."""
    assert not judge.borne_findings(judge.of(metrics_at_fault.rows(NEIGHBOURS), "metrics", fault))


@behaviour(
    "llmd.neighbours.events-borne", level=MUST, spec=EVENTS, timed=True, mutant="picker-frozen",
    red_when="a message that is no KV-cache event ends the picker, or makes it ignore the events that follow",
)  # fmt: skip
@pytest.mark.parametrize("fault", [*HOSTILE, "a foreign model"])
def test_a_wrong_event_hurts_nobody_else(events_at_fault: RoutingRecording, fault: str) -> None:
    """After a malformed event, picks come within 1 s, and a replica that is warmed next is found."""
    rows = judge.of(events_at_fault.rows(NEIGHBOURS), "hostile events", fault)
    assert not judge.borne_findings(rows)
    assert not judge.followed_findings(rows)


@behaviour(
    "llmd.neighbours.events-understood", level=MUST, spec=EVENTS, timed=True, mutant="picker-random",
    red_when="a form in which engines announce a block is not understood",
)  # fmt: skip
@pytest.mark.parametrize("form", [_form(name) for name in SOUND])
def test_every_form_of_an_event_is_understood(events_at_fault: RoutingRecording, form: str) -> None:
    """A prompt goes to the replica that announced its blocks, in whatever form engines have for that."""
    assert not judge.followed_findings(judge.of(events_at_fault.rows(NEIGHBOURS), "events", form))


@behaviour(
    "llmd.neighbours.others-borne", level=MUST, spec=METRICS, timed=True, mutant="picker-frozen",
    red_when="a Pod without port or address, or an integer at the limit of int64, ends the picker or fails requests",
)  # fmt: skip
@pytest.mark.parametrize("neighbour", ["pods", "numbers"])
def test_odd_pods_and_numbers_hurt_nobody(others_at_fault: RoutingRecording, neighbour: str) -> None:
    """Pods without port or address and integers at the limits of int64 neither fail nor delay (1 s) a request."""
    assert not judge.borne_findings(judge.of(others_at_fault.rows(NEIGHBOURS), neighbour))


@known_defect(
    "https://github.com/llm-d/llm-d-kv-cache/blob/v0.9.0/pkg/tokenization/uds_tokenizer.go",
    "each request waits for five seconds and more, and is tried again, before it is scheduled without tokens",
    shows=r"hangs: (\d+ of \d+ others got nothing|another request was answered after)",
)
@behaviour(
    "llmd.neighbours.tokenizer-hangs", level=SHOULD, spec=METRICS, timed=True, mutant="picker-frozen",
    red_when="requests wait for a tokenization service that does not answer",
)  # fmt: skip
def test_a_tokenizer_that_hangs_holds_nobody_up(others_at_fault: RoutingRecording) -> None:
    """While the tokenization service hangs, picks still come within 1 s."""
    assert not judge.borne_findings(judge.of(others_at_fault.rows(NEIGHBOURS), "tokenizer"))


@known_defect(
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp/backend/metrics/pod_metrics.go",
    "a page that cannot be read is told at log level TRACE alone, and no metric counts it",
    shows="neither log nor metrics tell",
)
@behaviour(
    "llmd.neighbours.metrics-fault-said", level=SHOULD, spec=METRICS, mutant="picker-frozen",
    red_when="a model server whose metrics cannot be read is named neither in the picker's log nor in its metrics",
)  # fmt: skip
def test_a_wrong_metrics_page_is_told(metrics_at_fault: RoutingRecording) -> None:
    """For every wrong metrics page there is a complaint in the picker's log, or a counter of errors moves."""
    rows = [row for row in metrics_at_fault.rows(NEIGHBOURS) if row.fault not in ("twice", "slow")]
    assert not judge.said_findings(judge.of(rows, "metrics"))
