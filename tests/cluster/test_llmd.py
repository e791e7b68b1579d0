"""Routing arms, live: they come up, route as their names say, show what is broken, and leave nothing."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import http
from gpuassay.systems.llmd.component import deployment as module
from gpuassay.systems.llmd.component import gateway_of as front
from gpuassay.systems.llmd.component import probe
from gpuassay.systems.llmd.component.deployment import Routing, routing
from gpuassay.systems.llmd.component.extproc import ExternalProcessing
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.simulator import Latency, Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.objects.tokens import chat_token_ids, token_ids
from gpuassay.waiting import WaitTimeout, wait
from tests.cluster.conftest import need_programs
from tests.cluster.decisions import VERBOSITY, decisions

QUICK = Latency(prefill_overhead=0.002, prefill_per_token=0.00001, inter_token=0.001)
BLOCKS = 12
"""Full blocks of a prompt of the decisive test."""
PROMPTS = 16


@pytest.fixture(scope="session")
def routers() -> None:
    need_programs("controlplane", "kwok", "llmd-epp", "llmd-sim")


@pytest.fixture(scope="module")
def precise(routers: None, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    with routing(cluster, tmp_path_factory.mktemp("precise"), "precise", Arm(latency=QUICK, verbosity=VERBOSITY)) as up:
        yield up


def directly_warmed(up: Routing, prompts: int = PROMPTS) -> int:
    """The decisive test: warm one replica behind the picker's back, ask the gateway; how often that replica answers."""
    # in an order that nobody keeps to by accident: warmed in turn, round robin would answer in the same turn
    dice = random.Random(20261121)
    hits = 0
    for replica in dice.choices(up.replicas, k=prompts):
        prompt = probe.fresh_prompt(BLOCKS, up.arm.cache.block_size)
        replica.complete(prompt)
        hits += probe.served_by(up.url, up.model, prompt) == replica.name
    return hits


def knows(up: Routing, count: int) -> None:
    """Wait until the picker counts `count` endpoints as ready."""
    assert up.picker is not None
    up.picker.await_ready_pods(count)


def served(replica: Replica) -> float:
    """Requests that a model server has finished."""
    return total(replica.metrics(), "vllm:request_success_total")


def programs_of(up: Routing) -> list[int]:
    """Process ids of everything that an arm runs."""
    parts = [up.picker, up.envoy, up.tokenizer, up.forwarder, *up.replicas]
    return [part.child.process.pid for part in parts if part is not None and part.child.process is not None]


def assert_gone(pids: list[int]) -> None:
    def left() -> list[int]:
        return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]

    wait(left, lambda found: not found, what="all programs of the arm to be gone", timeout=5)


# Red when an arm needs more than the time it may take on a busy machine, or a step is skipped.
def test_an_arm_is_up_within_seconds(precise: Routing) -> None:
    print(precise.steps)
    assert list(precise.steps)[-1] == "events flow"
    assert precise.steps["events flow"] < 15
    assert precise.picker is not None
    assert precise.picker.ready_pods() == len(precise.replicas) == 8


# Red when the picker does not see what lies in the caches.
def test_precise_routing_finds_every_replica_that_was_warmed_directly(precise: Routing) -> None:
    assert directly_warmed(precise) == PROMPTS


# Red when the test above could be passed without seeing the caches.
@pytest.mark.usefixtures("routers")
@pytest.mark.parametrize("profile", ["random", "approximate", "round-robin"])
def test_the_others_do_not(profile: str, cluster: Cluster, tmp_path: Path) -> None:
    with routing(cluster, tmp_path, f"control-{profile}", Arm(profile, latency=QUICK)) as up:
        # at chance 1/8, more than 8 of 16 has a probability of 1e-5
        assert directly_warmed(up) <= 8


# Red when the picker's tokens are not the model server's: block hashes then never fit, and nothing tells.
@pytest.mark.parametrize("text", ["word " * 20, 'a,b  "c"\n\tund über_1 $x; <|y|>', "...", "_a 1.5e3 🙂 z"])
def test_the_tokenizer_cuts_as_the_model_server_does(text: str, precise: Routing) -> None:
    server = precise.replicas[0]
    asked: list[tuple[str, dict[str, Any], list[int]]] = [
        ("completions", {"prompt": text}, token_ids(text)),
        ("chat/completions", {"messages": [{"role": "user", "content": text}]}, chat_token_ids([("user", text)])),
    ]
    for path, body, ours in asked:
        answer = http().post(f"{server.url}/v1/{path}/render", json={"model": precise.model, **body}, timeout=5).json()
        assert (answer[0] if path == "completions" else answer)["token_ids"] == ours, path


# Red when the other endpoint pickers do not come up behind the same gateway, or their answers are misread.
@pytest.mark.parametrize(
    ("picker", "profile", "program"), [("gaie", "approximate", "gaie-epp"), ("light", "built-in", "lwepp")]
)
def test_other_pickers_serve_behind_the_same_gateway(
    picker: str, profile: str, program: str, routers: None, cluster: Cluster, tmp_path: Path
) -> None:
    need_programs(program)
    with routing(cluster, tmp_path, f"picker-{picker}", Arm(profile, picker=picker, replicas=2, latency=QUICK)) as up:
        answer = http().get(f"{up.url}/v1/models", timeout=5)
        assert answer.status_code == 200
        assert answer.headers["x-went-into-resp-headers"] == "true"
        assert program in {part.name for part in up.components}
        assert up.picker is not None
        with ExternalProcessing(up.picker.target) as asked:
            seen = {asked.ask(None, path="/v1/models").destination for _ in range(64)}
        assert seen == {replica.endpoint for replica in up.replicas}


# Red when the picker's log is misread: score and choice must be those of the answer.
def test_the_log_tells_why_a_replica_was_picked(precise: Routing) -> None:
    assert precise.picker is not None
    picker, replica = precise.picker, precise.replicas[6]
    prompt, since = probe.fresh_prompt(BLOCKS, 16), precise.picker.log_offset()
    replica.complete(prompt)
    body = {"model": precise.model, "prompt": prompt, "max_tokens": 1}
    http().post(f"{precise.url}/v1/completions", json=body, headers={"x-request-id": "why"}, timeout=5)
    told = wait(
        lambda: [one for one in decisions(picker.log_lines(since)[0]) if one.picked],
        bool, what="the picker's log to tell of the request", timeout=5,
    )  # fmt: skip
    assert [(one.request, one.picked) for one in told] == [("why", replica.endpoint)]
    scores = told[0].scores["precise-prefix-cache-scorer"]
    assert len(scores) == 8
    assert {name for name, score in scores.items() if score > 0} == {f"{replica.name}-rank-6"}


# Red when a long cold prompt does not use both kinds of servers, or a short or cached one does.
def test_prefill_and_decode_apart(routers: None, cluster: Cluster, tmp_path: Path) -> None:
    need_programs("pd-sidecar")
    arm = Arm("prefill-decode", latency=QUICK, replicas=3, prefillers=1)
    with routing(cluster, tmp_path, "apart", arm) as up:
        prefill, *decode = up.replicas
        long, short = probe.fresh_prompt(BLOCKS, 16), probe.fresh_prompt(1, 16)
        for prompt, prefilled in ((long, 1), (long, 0), (short, 0)):
            before = served(prefill), sum(map(served, decode))
            assert probe.served_by(up.url, up.model, prompt) in {replica.name for replica in decode}
            assert (served(prefill) - before[0], sum(map(served, decode)) - before[1]) == (prefilled, 1)


# Red when hits are counted that were none, or events are lost on their way through the tap.
def test_replica_and_tap_tell_of_the_same_blocks(precise: Routing) -> None:
    assert precise.forwarder is not None
    replica = precise.replicas[3]
    before, seen = replica.metrics(), len(precise.forwarder.events())
    prompt = probe.fresh_prompt(BLOCKS, 16)
    replica.complete(prompt)
    cached = replica.complete(prompt)["usage"]["prompt_tokens_details"]["cached_tokens"]
    after = replica.metrics()
    assert cached == BLOCKS * 16
    assert total(after, "vllm:prefix_cache_hits_total") - total(before, "vllm:prefix_cache_hits_total") == cached
    assert (
        total(after, "vllm:prefix_cache_queries_total") - total(before, "vllm:prefix_cache_queries_total") == 2 * cached
    )
    stored = precise.forwarder.await_events(replica.topic, since=seen)
    assert sum(line["blocks"] for line in stored) == BLOCKS


# Red when Envoy goes on sending to who left the pool, or does not take back who returned.
def test_the_gateway_follows_pods(precise: Routing) -> None:
    assert precise.envoy is not None
    leaver = precise.replicas[2]
    everybody = [replica.endpoint for replica in precise.replicas]
    changes: list[tuple[str, Any]] = [
        ("not ready", lambda: precise.endpoints.set_ready(leaver.name, False)),
        ("another label", lambda: precise.endpoints.set_labels(leaver.name, {"app": "other"})),
        ("deleted", lambda: precise.endpoints.delete(leaver.name)),
    ]
    for what, change in changes:
        change()
        assert precise.envoy.members() == sorted(set(everybody) - {leaver.endpoint}), what
        knows(precise, 7)
        precise.endpoints.restore(leaver.name)
        assert precise.envoy.members() == sorted(everybody), what
        knows(precise, 8)


# Red when the picker's answer to a gateway is misread, or depends on how the body was cut.
def test_the_picker_answers_without_a_gateway(precise: Routing) -> None:
    assert precise.picker is not None
    prompt = probe.fresh_prompt(BLOCKS, 16)
    precise.replicas[5].complete(prompt)
    body = f'{{"model": "{precise.model}", "prompt": "{prompt}", "max_tokens": 1}}'.encode()
    with ExternalProcessing(precise.picker.target) as picker:
        whole, cut = picker.ask(body), picker.ask(body, count=5)
        assert whole.destination == whole.metadata_destination == cut.destination == precise.replicas[5].endpoint
        # the picker writes the JSON anew, with sorted keys: the same to a model server, not the same bytes
        assert whole.body == cut.body
        assert json.loads(whole.body) == json.loads(body)
        allowed = precise.replicas[1].endpoint
        assert picker.ask(body, subset=[allowed]).destination == allowed
        assert picker.ask(b"no json").immediate == 400
        answer = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}'
        with picker.stream() as stream:
            stream.request(body)
            assert stream.response([answer[:10], answer[10:]], served=allowed).body == answer


# Red when a replica that dies takes the KV-cache events of the others with it.
def test_events_flow_on_when_a_replica_dies_and_comes_back(precise: Routing) -> None:
    victim = precise.replicas[7]
    victim.kill()
    others = precise.replicas[:7]
    for replica in others:
        prompt = probe.fresh_prompt(BLOCKS, 16)
        replica.complete(prompt)
        assert probe.served_by(precise.url, precise.model, prompt) == replica.name
    victim.restart()
    knows(precise, 8)
    precise.await_events()


def test_what_is_simulated_and_what_runs_is_told(precise: Routing, cluster: Cluster) -> None:
    names = {part.name for part in precise.components}
    assert names == {"llm-d-inference-sim", "llmd-epp", "envoy"}
    assert names <= {part.name for part in cluster.components}
    words = " ".join(one["means"] for one in precise.emulated)
    assert "no GPU and no model" in words
    assert "10 us for every prompt token" in words


# Red when a refusal is hidden behind a time-out.
@pytest.mark.usefixtures("routers")
def test_a_refused_configuration_is_shown_in_the_pickers_own_words(cluster: Cluster, tmp_path: Path) -> None:
    def misspelt(configuration: dict[str, Any]) -> None:
        configuration["plugins"][1]["type"] = "precise-cache"

    arm = Arm(replicas=1, latency=QUICK, change_picker=misspelt)
    refused = r"endpoint-picker refuses to start \(exit code 1\): .*precise-cache"
    with pytest.raises(ClusterError, match=refused), routing(cluster, tmp_path, "misspelt", arm):
        pass
    names = [name for name in cluster.processes if name.startswith("misspelt-")]
    assert len(names) == 5
    assert not any(cluster.processes[name].alive for name in names)
    assert cluster.component_died() is None


# Red when an arm counts as up although its picker cannot see the caches: everything else about it looks well.
@pytest.mark.usefixtures("routers")
def test_an_arm_whose_events_cannot_arrive_is_not_called_ready(cluster: Cluster, tmp_path: Path) -> None:
    arm = Arm(replicas=2, latency=QUICK, simulator_env={"POD_IP": "{address}"}, probe=False)
    silence = pytest.raises(WaitTimeout, match=r"KV-cache events of all model servers .* was picked")
    with routing(cluster, tmp_path, "deaf", arm) as up, silence:
        up.await_events(timeout=0.3)


# Red when a port that somebody else took ends the run instead of costing a second try.
@pytest.mark.usefixtures("routers")
def test_a_lost_port_is_replaced(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        lost = squatter.getsockname()[1]
        tries: list[int] = []

        def ports(count: int) -> list[int]:
            given = free_ports(count)
            # first the gateway's listener, then the first model server's
            if len(tries) < 2:
                given[(6, 6 + front.PORTS)[len(tries)]] = lost
            tries.append(count)
            return given

        monkeypatch.setattr(module, "free_ports", ports)
        with routing(cluster, tmp_path, "squatted", Arm("random", replicas=1, latency=QUICK)) as up:
            assert len(tries) == 3
            assert directly_warmed(up, 1) == 1
    assert cluster.component_died() is None


# Red when anything of an arm outlives it.
@pytest.mark.usefixtures("routers")
def test_two_arms_at_once_do_not_touch_and_nothing_is_left(cluster: Cluster, tmp_path: Path) -> None:
    with (
        routing(cluster, tmp_path / "a", "left-a", Arm(replicas=2, latency=QUICK)) as one,
        routing(cluster, tmp_path / "b", "left-b", Arm("random", replicas=2, gateway=None)) as other,
    ):
        assert not {r.address for r in one.replicas} & {r.address for r in other.replicas}
        assert directly_warmed(one, 8) == 8
        pids = programs_of(one) + programs_of(other)
        assert len(pids) == 6 + 3
    assert_gone(pids)
    for space in ("left-a", "left-b"):
        assert cluster.api.list("Pod", space) == []
    assert cluster.component_died() is None


@pytest.mark.usefixtures("routers")
def test_kill_minus_nine_of_the_owner_leaves_nothing_of_an_arm(cluster: Cluster, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cluster.owner_of_an_arm", str(tmp_path), str(cluster.kubeconfig)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, start_new_session=True) as owner:
        assert owner.stdout is not None
        up, *pids = owner.stdout.readline().decode().split()
        assert up == "up"
        assert len(pids) == 6
        owner.kill()
    assert_gone([int(pid) for pid in pids])
