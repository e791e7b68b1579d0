"""EPP core: the picker's metrics. Exactly k requests move its counters by k, and tokens by what responses say.

Requests are picked, then responses of known usage are sent through the picker; at last a real model server answers, so
that the picker's counters can be held against the server's.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay import MUST, SHOULD, Measure, behaviour
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import Asking, asking, running, scrape, served
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.judge import epp_metrics
from gpuassay.systems.llmd.judge.metrics import SERVER, delta, growth_findings
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import PickerCall
from suites.llmd.epp_requests import EXT_PROC, OPENAI, events, small, usage, whole
from suites.llmd.epps import per_epp

METRICS = "https://gateway-api-inference-extension.sigs.k8s.io/guides/metrics-and-observability/"

REFUSED = (b"no JSON at all", b"{", b'{"model": ')
HELD = 3
REAL = 5
JSON_USAGE = tuple((100 + n, 10 + n, 64) for n in range(7))
"""Prompt, completion and cached tokens of each JSON response."""
STREAM_USAGE = tuple((500 + n, 50 + n, 128) for n in range(5))
SPLIT_USAGE = ((900, 90, 0), (901, 91, 0))


def _forward(site: Deployment, epp: Asking, number: int) -> None:
    """What a gateway does: ask the picker, send the request where it says, and show the picker the response."""
    body = epp.body(f"A prompt for a real model server, number {number}.", ignore_eos=True)
    epp.exchange("real", body, lambda endpoint: served(endpoint, body))


@per_epp(timeout=20)
def counted(lab: RoutingLab, picker: str) -> None:
    """Responses with known usage, refusals, client disconnects and real responses, with a metrics scrape after each."""
    with opened(lab, small(picker, replicas=2, profile="random")) as site, asking(site) as epp:
        model = site.routing.model
        body = epp.body("hello")
        for _ in range(2):  # so that no counter is at its beginning: one that starts again is found out
            epp.exchange("before", body, [whole(model, usage(1, 1, 0))])
            epp.ask("before", REFUSED[0])
        _scraped(lab, epp, site, "before")
        if lab.mutant is not None:
            lab.mutant.disturb(site.routing)
        for number, numbers in enumerate(JSON_USAGE):
            parts = whole(model, usage(*numbers))
            size = max(1, len(parts) // (number + 1))
            epp.exchange("json", body, [parts[at : at + size] for at in range(0, len(parts), size)])
        _scraped(lab, epp, site, "json")
        for numbers in STREAM_USAGE:
            epp.exchange(
                "stream", body, events(model, usage(*numbers)), content_type="text/event-stream; charset=utf-8"
            )
        _scraped(lab, epp, site, "stream")
        for number, numbers in enumerate(SPLIT_USAGE):
            *texts, told, done = events(model, usage(*numbers))
            cut = len(told) // 2 + number
            split = [*texts, told[:cut], told[cut:] + done]
            epp.exchange("split", body, split, content_type="text/event-stream")
        _scraped(lab, epp, site, "split")
        for absurd in REFUSED:
            epp.ask("refused", absurd)
        for failed in (500, 503):
            answer = b"upstream says: no\x00\xff"
            epp.exchange("failed", body, [answer[:5], answer[5:]], status=failed, content_type="text/plain")
        _scraped(lab, epp, site, "refused")
        _left_half_way(lab, epp, body)
        _scraped(lab, epp, site, "half-way")
        for number in range(REAL):
            _forward(site, epp, number)
        _scraped(lab, epp, site, "real")


def _scraped(lab: RoutingLab, epp: Asking, site: Deployment, label: str) -> None:
    """Scrape once no request is under way: a picker counts a refusal only after it has sent it."""
    lab.observe(lambda: running(lab, epp.picker) == 0, f"no request under way ({label})", timeout=2)
    scrape(lab, epp.picker, label)
    for replica in site.replicas:
        lab.samples += [{"source": replica.name, "label": label, **row} for row in replica.metrics()]


def _left_half_way(lab: RoutingLab, epp: Asking, body: bytes) -> None:
    """Clients that leave after the choice, before any response."""
    streams = [epp.connection.stream() for _ in range(HELD)]
    for stream in streams:
        stream.request(body)
    lab.observe(lambda: running(lab, epp.picker) == HELD, "requests under way are counted", timeout=2)
    for stream in streams:
        stream.close()
    lab.observe(lambda: running(lab, epp.picker) == 0, "requests that were left are no longer counted", timeout=2)


def _grown(recording: RoutingRecording, first: str, last: str, expected: dict[str, float]) -> list[str]:
    before, after = recording.metrics(first, "picker"), recording.metrics(last, "picker")
    return growth_findings(before, after, expected, epp_metrics.TABLE)


def _tokens(recording: RoutingRecording, first: str, last: str, usages: Sequence[tuple[int, int, int]]) -> list[str]:
    before, after = recording.metrics(first, "picker"), recording.metrics(last, "picker")
    expected = {"input_tokens": sum(one[0] for one in usages), "output_tokens": sum(one[1] for one in usages)}
    return [
        *growth_findings(before, after, {"input_tokens": len(usages), "output_tokens": len(usages)}, epp_metrics.TABLE),
        *epp_metrics.sum_findings(before, after, expected),
    ]


def _numbers(call: PickerCall) -> tuple[int, int, int]:
    assert call.usage is not None, "the model server told no usage"
    return call.usage["prompt_tokens"], call.usage["completion_tokens"], 0


@behaviour(
    "llmd.epp-metrics.requests", level=MUST, spec=METRICS, mutant="index-emptied",
    red_when="k requests do not raise the request counter by k",
)  # fmt: skip
def test_requests_are_counted_exactly(counted: RoutingRecording, measure: Measure) -> None:
    """Each forwarded request counts exactly once, as a request and as a scheduler decision."""
    asked = len(JSON_USAGE)
    measure.value(requests=asked)
    assert not _grown(counted, "before", "json", {"requests": asked, "scheduler_duration": asked, "request_errors": 0})


@behaviour(
    "llmd.epp-metrics.durations", level=MUST, spec=METRICS, mutant="epp-counters-stuck",
    red_when="a complete response is not timed, or is timed twice",
)  # fmt: skip
def test_complete_responses_are_timed_once(counted: RoutingRecording) -> None:
    """Each complete response, JSON or streamed, adds one observation to the request duration histogram."""
    assert not _grown(counted, "before", "json", {"request_duration": len(JSON_USAGE)})
    assert not _grown(counted, "json", "stream", {"request_duration": len(STREAM_USAGE)})


@behaviour(
    "llmd.epp-metrics.tokens-json", level=MUST, spec=METRICS, mutant="epp-usage-overlooked",
    red_when="the usage of a JSON response is overlooked or misread",
)  # fmt: skip
def test_tokens_of_json_responses_are_counted(counted: RoutingRecording) -> None:
    """Prompt and completion tokens of JSON responses are counted exactly, in however many chunks they arrive."""
    assert not _tokens(counted, "before", "json", JSON_USAGE)


@behaviour(
    "llmd.epp-metrics.tokens-stream", level=MUST, spec=METRICS, mutant="epp-usage-overlooked",
    red_when="the usage in a streamed response is overlooked or misread",
)  # fmt: skip
def test_tokens_of_streamed_responses_are_counted(counted: RoutingRecording) -> None:
    """Prompt and completion tokens of streams are counted exactly where usage is a separate event before the end."""
    assert not _tokens(counted, "json", "stream", STREAM_USAGE)


@behaviour(
    "llmd.epp-metrics.tokens-split-event", level=SHOULD, spec=METRICS,
    red_when="the usage of a stream is overlooked when its event is split across two chunks",
)  # fmt: skip
def test_tokens_are_counted_where_an_event_is_cut(counted: RoutingRecording) -> None:
    """Tokens are counted exactly even if the usage event of a stream is split across two chunks."""
    whole = _tokens(counted, "json", "stream", STREAM_USAGE)
    assert not whole, f"tokens are not even counted where no event is cut: {whole}"
    assert not _tokens(counted, "stream", "split", SPLIT_USAGE)


@behaviour(
    "llmd.epp-metrics.cached-tokens", level=SHOULD, spec=OPENAI,
    red_when="cached prompt tokens are not counted, so that the EPP's metrics give no hit rate",
)  # fmt: skip
def test_cached_tokens_are_counted(counted: RoutingRecording) -> None:
    """Cached prompt tokens (`usage.prompt_tokens_details.cached_tokens`) are counted exactly."""
    before, after = counted.metrics("before", "picker"), counted.metrics("json", "picker")
    others = _tokens(counted, "before", "json", JSON_USAGE)
    assert not others, f"not even tokens that were not cached are counted: {others}"
    assert not epp_metrics.sum_findings(before, after, {"cached_tokens": sum(one[2] for one in JSON_USAGE)})


@behaviour(
    "llmd.epp-metrics.refusals", level=MUST, spec=METRICS, mutant="epp-errors-forgiven",
    red_when="refused requests do not count as errors, or count as requests",
)  # fmt: skip
def test_refusals_are_counted_as_errors(counted: RoutingRecording) -> None:
    """Each refused request counts once as an error with code BadRequest, and not as a forwarded request."""
    before, after = counted.metrics("split", "picker"), counted.metrics("refused", "picker")
    code = {"error_code": "BadRequest"}
    assert not growth_findings(before, after, {"request_errors": len(REFUSED)}, epp_metrics.TABLE, code)
    assert not _grown(counted, "split", "refused", {"requests": 2})


@behaviour(
    "llmd.epp-metrics.server-errors", level=SHOULD, spec=METRICS,
    red_when="responses of model servers with 500 or 503 do not count as errors",
)  # fmt: skip
def test_errors_of_model_servers_are_counted(counted: RoutingRecording) -> None:
    """Each error response of a model server counts once as an error with code ModelServerError."""
    before, after = counted.metrics("split", "picker"), counted.metrics("refused", "picker")
    others = growth_findings(
        before, after, {"request_errors": len(REFUSED)}, epp_metrics.TABLE, {"error_code": "BadRequest"}
    )
    assert not others, f"not even errors of the picker itself are counted: {others}"
    assert not growth_findings(
        before, after, {"request_errors": 2}, epp_metrics.TABLE, {"error_code": "ModelServerError"}
    )


@behaviour(
    "llmd.epp-metrics.running", level=MUST, spec=METRICS, mutant="epp-streams-held", timed=True,
    red_when="requests whose client has disconnected count as running forever",
)  # fmt: skip
def test_requests_that_are_left_are_not_running(counted: RoutingRecording) -> None:
    """Requests in flight count as running, and no longer do when their client disconnects before a response."""
    assert counted.observed("requests under way are counted")
    assert counted.observed("requests that were left are no longer counted")


@behaviour(
    "llmd.epp-metrics.agrees-with-servers", level=MUST, spec=METRICS, mutant="epp-usage-overlooked", timed=True,
    red_when="the EPP and the model servers count different requests or tokens for the same load",
)  # fmt: skip
def test_picker_and_model_servers_count_the_same(counted: RoutingRecording) -> None:
    """For requests to real model servers, the EPP, the servers and the responses report the same token counts."""
    rows = counted.calls("real")
    assert not judge.picked_findings(rows)
    usages = [_numbers(row) for row in rows]
    assert not _tokens(counted, "half-way", "real", usages)
    before, after = counted.metrics("half-way"), counted.metrics("real")
    assert delta(before, after, "requests_succeeded", SERVER) == REAL
    assert delta(before, after, "prompt_tokens", SERVER) == sum(prompt for prompt, _, _ in usages)
    assert delta(before, after, "generation_tokens", SERVER) == sum(completion for _, completion, _ in usages)


@behaviour(
    "llmd.epp.response-bytes-kept", level=MUST, spec=EXT_PROC, mutant="epp-response-rewritten",
    red_when="a client gets other bytes than the model server sent",
)  # fmt: skip
def test_json_responses_come_back_byte_for_byte(counted: RoutingRecording) -> None:
    """A JSON response comes back byte for byte, white space included, in however many chunks it arrives."""
    rows = [*counted.calls("json"), *counted.calls("real")]
    assert not judge.response_findings(rows, by_chunk=False)


@behaviour(
    "llmd.epp.response-chunks-kept", level=MUST, spec=EXT_PROC, mutant="epp-response-buffered",
    red_when="events of a stream are merged, reordered, changed or lost",
)  # fmt: skip
def test_streamed_responses_keep_their_chunks(counted: RoutingRecording) -> None:
    """A streamed response comes back in the chunks in which it arrives, in their order, byte for byte."""
    rows = [*counted.calls("stream"), *counted.calls("split")]
    assert not judge.response_findings(rows, by_chunk=True)


@behaviour(
    "llmd.epp.failed-response-kept", level=MUST, spec=EXT_PROC, mutant="epp-response-dropped",
    red_when="a client does not receive the error message of the model server",
)  # fmt: skip
def test_failed_responses_come_back_byte_for_byte(counted: RoutingRecording) -> None:
    """An error response that is not JSON comes back byte for byte."""
    assert not judge.response_findings(counted.calls("failed"), by_chunk=False)
