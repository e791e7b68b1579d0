"""What a series of a metrics page is, by its name and nothing else: so that a new one is judged without a new rule."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpuassay.record.metrics import COUNTED

_OF_THE_RUNTIME = re.compile(r"(go|process|python|workqueue|rest_client|certwatcher|controller_runtime)_")
"""Series of client libraries: they tell of the process, not of requests."""
SIZE = ("process_resident_memory_bytes", "go_memstats_heap_inuse_bytes", "go_goroutines", "process_open_fds")
"""What of them the referee looks at: how large the process is."""
_FAILED = re.compile(r"(?<!request_)(error|panic|failure)s?_total$|ext_proc_(streams_failed|spurious_msgs|.*timeouts?)")
"""Counters of what must not happen in a sound program, whatever it is asked. Requests may well be in error."""
_UNSEEN = ("_bucket", "_seconds_sum", "_time_sum", "_per_cx_sum", "_per_cx_count")
_OF_REQUESTS = re.compile(r"request|_rq_|ext_proc_stream")
_LIVE = re.compile(r"running|waiting|in_?flight|pending|rq_active|streams_active|queue_(size|bytes)|active_requests")
_OF_LIMITS = re.compile(r"max|limit|capacity|average|std_dev|seconds|ratio|lora|remaining|per_pod|per_endpoint")
"""Gauges that a word of `_LIVE` names, and that are no number of live things, or repeat what a model server says."""


def is_counted(name: str) -> bool:
    """Whether a series only rises while its program runs: a counter, or a part of a histogram."""
    return name.endswith(COUNTED)


def is_failure(name: str) -> bool:
    """Whether a series counts errors or panics inside a program."""
    return bool(_FAILED.search(name))


def is_of_runtime(name: str) -> bool:
    """Whether a series comes with a client library."""
    return bool(_OF_THE_RUNTIME.match(name))


def is_kept(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the referee looks at a series at all: not at times, nor at Envoy's own admin interface."""
    if name.endswith(_UNSEEN) or labels.get("envoy_http_conn_manager_prefix") == "admin":
        return False
    return not is_of_runtime(name) or name in SIZE or is_failure(name)


def is_of_requests(name: str) -> bool:
    """Whether a series is moved by requests and nothing else."""
    return name.endswith(("_total", "_count")) and bool(_OF_REQUESTS.search(name)) and not is_of_runtime(name)


def is_ready(name: str) -> bool:
    """Whether a series is a picker's count of the endpoints that it may pick."""
    return name.endswith(("_ready_pods", "_ready_endpoints"))


def is_live(name: str) -> bool:
    """Whether a series is a gauge of what is under way: requests that run or wait."""
    named = _LIVE.search(name) and not _OF_LIMITS.search(name)
    return bool(named) and not is_counted(name) and not is_of_runtime(name)
