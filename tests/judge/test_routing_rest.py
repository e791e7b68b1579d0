"""The referee of routing at rest, on recordings that are sound and on doctored ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.llmd.judge import rest
from gpuassay.systems.llmd.judge.rest_known import KNOWN, Known
from gpuassay.systems.llmd.judge.rest_names import is_failure, is_kept, is_live, is_of_requests
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.system import SYSTEM

Rows = list[dict[str, Any]]

MODEL = {"model_name": "m", "target_model_name": "m"}
GATEWAY = {"envoy_http_conn_manager_prefix": "gateway"}
PROGRAMS = ["model-server-0", "picker", "gateway"]


def series(source: str, name: str, rest: float, start: float | None = None, /, **labels: str) -> dict[str, Any]:
    return {"arm": "arm", "source": source, "name": name, "labels": labels, "start": start, "rest": rest}


def picker(name: str, rest: float, start: float | None = None) -> dict[str, Any]:
    return series("picker", name, rest, start, **MODEL)


def gateway(name: str, rest: float, **labels: str) -> dict[str, Any]:
    return series("gateway", name, rest, **GATEWAY, **labels)


def arm(**more: Any) -> dict[str, Any]:
    sound = {
        "arm": "arm", "profile": "precise", "gateway": "override-host", "own_gateway": True, "members": 1,
        "programs": PROGRAMS, "alive": PROGRAMS, "through": {"POST 2xx": 5, "GET 2xx": 2},
    }  # fmt: skip
    return sound | more


SOUND = [
    picker("inference_objective_request_total", 7, start=2),
    picker("inference_objective_request_sizes_count", 7, start=2),
    picker("inference_objective_response_sizes_count", 5),
    picker("inference_objective_request_duration_seconds_count", 5),
    picker("inference_objective_input_tokens_count", 5),
    picker("inference_objective_output_tokens_count", 5),
    picker("inference_objective_running_requests", 0),
    series("picker", "inference_pool_ready_pods", 1, 1, name="p"),
    series("picker", "go_goroutines", 130, 120),
    series("picker", "process_resident_memory_bytes", 65e6, 60e6),
    series("picker", "controller_runtime_reconcile_errors_total", 0, 0),
    gateway("envoy_http_downstream_rq_total", 7),
    gateway("envoy_http_downstream_rq_completed_total", 7),
    gateway("envoy_http_downstream_rq_xx_total", 7, envoy_response_code_class="2"),
    gateway("envoy_http_ext_proc_streams_started_total", 5),
    gateway("envoy_http_ext_proc_streams_closed_total", 5),
    series("model-server-0", "vllm:request_success_total", 5, finish_reason="length"),
    series("model-server-0", "vllm:e2e_request_latency_seconds_count", 5),
    series("model-server-0", "vllm:generation_tokens_total", 20),
    series("model-server-0", "vllm:inter_token_latency_seconds_count", 15),
    series("model-server-0", "vllm:num_requests_running", 0),
]


def recording(
    rows: Rows | None = None, looked: dict[str, Any] | None = None, logs: Rows | None = None
) -> RoutingRecording:  # fmt: skip
    return RoutingRecording.of_parts(
        RecordingMeta(scenario="made-up"), rest_arms=[arm() if looked is None else looked],
        rest_series=SOUND if rows is None else rows, rest_logs=logs or [],
    )  # fmt: skip


def with_(*changed: dict[str, Any]) -> list[dict[str, Any]]:
    """The sound series, some of them replaced by name and source, others added."""
    names = {(one["source"], one["name"]) for one in changed}
    return [*(one for one in SOUND if (one["source"], one["name"]) not in names), *changed]


def test_a_sound_arm_is_not_blamed_and_older_recordings_are_not_judged() -> None:
    """Red when the referee blames what is right, or makes something of recordings without looks at rest."""
    assert rest.untimed(recording()) == []
    assert rest.timed(recording()) == []
    assert rest.looks(RoutingRecording.of_parts(RecordingMeta(scenario="old"))) == []
    assert rest.untimed(RoutingRecording.of_parts(RecordingMeta(scenario="old"))) == []


def test_who_left_may_be_counted_as_an_answer_and_nobody_else() -> None:
    """Red when a client that left makes a sound picker look wrong, or excuses more answers than clients that left."""
    left = arm(through={"POST 2xx": 5, "none": 1}, disturbed=["picker: suspend"])
    for answers, found in ((6, False), (7, True)):
        told = rest.untimed(recording(with_(picker("inference_objective_new_thing_count", answers)), left))
        assert any("more than 5" in one for one in told) is found, told


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (picker("inference_objective_request_sizes_count", 6), "6 of inference_objective_request_sizes_count, but 5"),
        (picker("inference_objective_new_thing_count", 9), "9 of inference_objective_new_thing_count, more than 5"),
        (picker("inference_objective_response_sizes_count", 4), "count the same answers"),
        (picker("inference_objective_input_tokens_count", 3), "count the same answers"),
        (picker("inference_objective_request_total", 4), "4 of inference_objective_request_total, but 5 were asked"),
        (picker("inference_objective_request_error_total", 1), "although every request was answered"),
        (picker("inference_objective_request_total", 1, start=2), "fell by 1"),
        (series("picker", "inference_pool_average_queue_size", -1, 0), "is -1"),
        (series("picker", "inference_objective_running_requests", 2.0**64, 0), "is 1.84467e+19"),
        (series("picker", "inference_pool_average_kv_cache_utilization", float("nan"), 0), "is nan"),
        (series("picker", "llm_d_epp_extract_errors_total", 3, 1), "counts 2 of llm_d_epp_extract_errors_total"),
        (series("picker", "controller_runtime_reconcile_panics_total", 1, 0), "reconcile_panics_total"),
        (gateway("envoy_http_downstream_rq_completed_total", 6), "7 requests came in, 6 were completed"),
        (gateway("envoy_http_ext_proc_streams_closed_total", 4), "5 streams to the picker were opened, 4 were closed"),
        (gateway("envoy_http_downstream_rq_xx_total", 7, envoy_response_code_class="5"), "answers 5xx, clients got 0"),
        (gateway("envoy_http_ext_proc_streams_failed_total", 1), "counts 1 of envoy_http_ext_proc_streams_failed"),
        (series("model-server-0", "vllm:e2e_request_latency_seconds_count", 6), "but 5 requests with 20 tokens"),
        (series("model-server-0", "vllm:inter_token_latency_seconds_count", 14), "14 of vllm:inter_token_latency"),
    ],
)  # fmt: skip
def test_an_account_that_does_not_close_is_found(changed: dict[str, Any], said: str) -> None:
    """Red when one wrong count passes."""
    found = rest.untimed(recording(with_(changed)))
    assert any(said in one for one in found), found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (picker("inference_objective_running_requests", 1), "still counts 1 of inference_objective_running_requests"),
        (series("model-server-0", "vllm:num_requests_waiting", 2), "still counts 2 of vllm:num_requests_waiting"),
        (series("gateway", "envoy_cluster_upstream_rq_active", 1), "envoy_cluster_upstream_rq_active"),
        (series("picker", "inference_extension_flow_control_queue_size", 3), "flow_control_queue_size"),
        (series("picker", "inference_pool_ready_pods", 2, 1, name="p"), "the pool has 1"),
        (series("picker", "go_goroutines", 300, 120), "go_goroutines grew from 120 to 300"),
        (series("picker", "process_resident_memory_bytes", 400e6, 60e6), "process_resident_memory_bytes grew"),
    ],
)  # fmt: skip
def test_what_should_have_ended_is_found(changed: dict[str, Any], said: str) -> None:
    """Red when a gauge that is not back, or a leak, passes."""
    found = rest.timed(recording(with_(changed)))
    assert any(said in one for one in found), found


@pytest.mark.parametrize("line", ["panic: send on closed channel", "fatal error: concurrent map writes",
                                  "WARNING: DATA RACE"])  # fmt: skip
def test_a_crash_is_always_found(line: str) -> None:
    """Red when a crash in a log passes, even in an arm to which much was done."""
    log = {"arm": "arm", "log": "endpoint-picker", "kind": "crash", "line": line}
    found = rest.untimed(recording(looked=arm(disturbed=["picker: kill"]), logs=[log]))
    assert found == [f"at rest, arm arm: endpoint-picker crashed: {line}"]


def test_errors_count_in_a_healthy_arm_alone() -> None:
    """Red when an error line passes where nothing was done, or is held against an arm that was disturbed or refused."""
    log = {"arm": "arm", "log": "endpoint-picker", "kind": "error", "line": "index lost", "count": 3}
    assert "index lost" in rest.untimed(recording(logs=[log]))[0]
    for excused in ({"disturbed": ["model-server-0: kill"]}, {"refused": 1}, {"through": {"POST 5xx": 1}}):
        assert rest.untimed(recording(rows=[], looked=arm(**excused), logs=[log])) == []


def test_known_defects_are_not_held_against_every_behaviour() -> None:
    """Red when the panic that upstream knows turns a recording red twice, or another panic hides behind it."""
    known = "panic: interface conversion: interface {} is string, not float64"
    lines = [{"arm": "arm", "log": "endpoint-picker", "kind": "crash", "line": line} for line in (known, "panic: x")]
    assert rest.untimed(recording(logs=lines)) == ["at rest, arm arm: endpoint-picker crashed: panic: x"]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.shown_by)
def test_every_known_defect_is_shown_by_a_behaviour(known: Known) -> None:
    """Red when the referee keeps silent about a defect that no behaviour shows."""
    catalogue = Path(__file__).parents[2] / "docs" / "catalogue.md"
    assert f"`{known.shown_by}" in catalogue.read_text()


def test_labels_without_bound_are_found() -> None:
    """Red when the names that clients send make series without end."""
    many = [series("picker", "inference_objective_running_requests", 0, model_name=f"m{n}") for n in range(201)]
    assert "201 series" in rest.untimed(recording(many))[0]
    assert rest.untimed(recording(many[:200], arm(own_gateway=False))) == []


def test_a_restarted_program_begins_at_nothing() -> None:
    """Red when counters of a new process are held against those of the one before."""
    rows = [picker("inference_objective_request_total", 3, start=9),
            picker("inference_objective_request_sizes_count", 3, start=9)]  # fmt: skip
    assert rest.untimed(recording(rows, arm(restarted=["picker"], disturbed=["picker: kill"]))) == []
    assert rest.untimed(recording(rows, arm(disturbed=["picker: kill"])))


def test_what_a_scenario_writes_is_not_judged() -> None:
    """Red when the load that a scenario lets model servers report counts as load that did not end."""
    rows = [series("model-server-0", "vllm:num_requests_waiting", 30)]
    assert rest.timed(recording(rows, arm(faked=True))) == []
    assert rest.timed(recording(rows))


def test_a_simulator_that_goes_on_for_clients_that_left_is_a_known_defect() -> None:
    """Red when every behaviour of a recording is refuted for what one behaviour shows."""
    assert rest.timed(recording([series("model-server-0", "vllm:num_requests_running", 3)])) == []


def test_an_arm_that_did_not_come_to_rest_is_judged_by_what_does_not_need_it() -> None:
    """Red when accounts are closed while requests are under way."""
    rows = with_(
        picker("inference_objective_request_sizes_count", 6), picker("inference_objective_running_requests", 1)
    )
    assert rest.untimed(recording(rows, arm(quiet=False))) == []
    assert rest.timed(recording(rows, arm(quiet=False)))


def test_a_refusal_says_whose_fault_it_is() -> None:
    """Red when a 500 of the picker passes, or a 5xx in an arm to which nothing was done."""
    calls = [{"wave": "w", "index": 0, "status": status, "detail": "odd"} for status in (400, 429, 503, 500)]
    found = rest.untimed(RoutingRecording.of_parts(RecordingMeta(scenario="made-up"), picker_calls=calls))
    assert found == ["the picker refused with 500 (odd), 1 times"]
    looked = arm(through={"POST 2xx": 5, "POST 5xx": 2})
    assert rest.timed(recording([], looked)) == ["at rest, arm arm: clients got 2 answers POST 5xx"]
    assert rest.timed(recording([], looked | {"disturbed": ["picker: kill"]})) == []


def test_writes_without_a_change_are_found() -> None:
    """Red when a controller that writes a pool's status for ever passes, or one that writes changes is blamed."""

    def event(number: int, status: int) -> dict[str, Any]:
        pool = {"kind": "InferencePool", "metadata": {"name": "p", "namespace": "n", "uid": "u",
                "resourceVersion": str(number)}, "status": {"parents": [status]}}  # fmt: skip
        return {"type": "MODIFIED" if number else "ADDED", "at": number, "kind": "InferencePool", "object": pool}

    def judged(*statuses: int) -> list[str]:
        events = [event(number, status) for number, status in enumerate(statuses)]
        return rest.untimed(RoutingRecording.of_parts(RecordingMeta(scenario="made-up"), events=events))

    assert judged(*[1] * 8) == ["InferencePool p was written 7 times without a change"]
    assert judged(*range(8)) == judged(1, 1, 1) == []


def test_silence_is_found() -> None:
    """Red when a program that lives and no longer tells its metrics passes."""
    assert rest.timed(recording(looked=arm(silent=["picker"]))) == [
        "at rest, arm arm: picker lives and does not tell its metrics"
    ]


@pytest.mark.parametrize(
    ("name", "live", "failure", "requests"),
    [
        ("inference_objective_running_requests", True, False, False),
        ("llm_d_epp_flow_control_queue_size", True, False, False),
        ("vllm:num_requests_waiting", True, False, False),
        ("inference_pool_per_pod_queue_size", False, False, False),
        ("inference_pool_average_queue_size", False, False, False),
        ("llm_d_epp_std_dev_running_requests", False, False, False),
        ("go_sched_goroutines_running_goroutines", False, False, False),
        ("inference_objective_request_error_total", False, False, True),
        ("llm_d_epp_datalayer_extract_errors_total", False, True, False),
        ("envoy_http_ext_proc_streams_failed_total", False, True, True),
        ("inference_extension_flow_control_dispatch_cycle_duration_seconds_count", False, False, False),
    ],
)  # fmt: skip
def test_a_name_says_what_a_series_is(name: str, live: bool, failure: bool, requests: bool) -> None:
    """Red when a series is taken for another kind."""
    assert (is_live(name), is_failure(name), is_of_requests(name)) == (live, failure, requests)


def test_what_nobody_judges_is_not_kept() -> None:
    """Red when buckets, times, or Envoy's admin interface blow recordings up."""
    assert not is_kept("vllm:e2e_request_latency_seconds_bucket", {})
    assert not is_kept("envoy_http_downstream_rq_total", {"envoy_http_conn_manager_prefix": "admin"})
    assert not is_kept("go_gc_duration_seconds", {})
    assert is_kept("go_goroutines", {})


def test_it_runs_on_every_recording_of_routing() -> None:
    """Red when the system forgets its referee."""
    rows = with_(picker("inference_objective_request_sizes_count", 6))
    assert SYSTEM.invariants.untimed(recording(rows))
    assert SYSTEM.invariants.timed(recording(with_(picker("inference_objective_running_requests", 1))))
