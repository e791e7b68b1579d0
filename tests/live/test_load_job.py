"""Load from pods of real kubelets: an Indexed Job over two real nodes puts one plan on one server. Root only."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuassay import cli
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.real import Node, real_node
from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.echo import MODEL, EchoServer
from gpuassay.load.node_clock import node_clock
from gpuassay.load.plan import Ask, ClosedLoop, Plan, completion_body
from gpuassay.load.rows import read_result
from gpuassay.load.spread import PodsLost
from gpuassay.load.spread_job import INDEX, JOB_NAME, Pods, spread
from gpuassay.load.timing import EchoTiming
from gpuassay.manifest import Manifest
from gpuassay.waiting import wait
from tests.cluster.conftest import need_programs
from tests.live.python_image import python_image

IMAGE = "localhost/gpuassay/load:1"
START_IN = 10.0
"""s for two pods to start; an idle machine needs two."""

_KILL_PODS = """
import os, pathlib
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and b"gpuassay.load.pod" in (entry / "cmdline").read_bytes().split(b"\\0"):
        os.kill(int(entry.name), 9)
"""


@dataclass
class Two:
    """A cluster with two real nodes that know the load generator's image."""

    cluster: Cluster
    nodes: dict[str, Node]

    @contextmanager
    def server(self, timing: EchoTiming) -> Generator[EchoServer]:
        """An echo server at the host's end of the first node's cable, which pods of both nodes reach."""
        server = EchoServer(timing, self.address)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()

    @property
    def address(self) -> str:
        return next(iter(self.nodes.values())).addresses.gateway

    def plan(self, server: EchoServer, asks: int) -> Plan:
        url = f"http://{self.address}:{server.port}"
        return Plan(
            url=url, model=MODEL, bodies={"p": completion_body("hello", 4)}, asks=(Ask("p"),) * asks,
            shape=ClosedLoop(4),
        )  # fmt: skip

    def pods(self) -> list[Manifest]:
        return self.cluster.api.list("Pod", "default", JOB_NAME)

    def left(self) -> list[str]:
        """What of a load is still on the cluster."""
        found = [(kind, self.cluster.api.list(kind, "default")) for kind in ("Job", "Pod", "ConfigMap")]
        return [
            f"{kind} {one['metadata']['name']}"
            for kind, objects in found
            for one in objects
            if one["metadata"]["name"].startswith("gpuassay-load")
        ]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    if lack := checks.reason():
        pytest.skip(f"needs a real node: {lack}")
    need_programs("controlplane", "kwok")
    folder = tmp_path_factory.mktemp("load-job")
    with (
        embedded(directory=folder, nodes=0) as cluster,
        real_node(cluster, "load-a") as one,
        real_node(cluster, "load-b") as other,
    ):
        image = python_image(IMAGE)
        side_by_side(lambda node: node.import_image(image), [one, other])
        yield Two(cluster, {one.name: one, other.name: other})


def test_two_kubelets_put_one_plan_on_one_server(two: Two, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when the Job as it is cannot run on a kubelet, an ask is lost or doubled, or something is left."""
    file, rows = tmp_path / "plan.json", tmp_path / "rows.jsonl"
    with two.server(EchoTiming(ttft_ms=20, itl_ms=5, tokens=4)) as server:
        file.write_bytes(two.plan(server, 100).to_json())
        given = ["--kubeconfig", str(two.cluster.kubeconfig), "--image", IMAGE, "--pods", "2"]
        code = cli.main(["load", str(file), str(rows), *given, "--start-in", str(START_IN)])
        said = capsys.readouterr()
        assert code == 0, said.err
        answered = [truth.request_id for truth in server.truths]
    merged = read_result(rows)
    assert (merged.tail.asked, merged.tail.ok, merged.tail.failed) == (100, 100, 0)
    assert sorted(answered) == sorted(row.request_id for row in merged.rows)
    told = [json.loads(line) for line in rows.with_suffix(".pods.jsonl").read_text().splitlines()]
    assert {(row["index"] % 2, row["node"]) for row in told} in (
        {(0, "load-a"), (1, "load-b")},
        {(0, "load-b"), (1, "load-a")},
    )
    assert {row["clock"]["synchronised"] for row in told} == {node_clock().synchronised}
    assert "100 asked, 100 ok, 0 failed by 2 pods" in said.out and "generator error P50" in said.out
    assert two.left() == []


def _killed(two: Two, pod: Manifest) -> None:
    """As when it takes too much memory."""
    two.nodes[pod["spec"]["nodeName"]].call(sys.executable, "-ISc", _KILL_PODS)


def _deleted(two: Two, pod: Manifest) -> None:
    """As when its node is drained."""
    two.cluster.api.delete("Pod", pod["metadata"]["name"], "default")


@pytest.mark.parametrize(
    ("lose", "words"), [(_killed, "Failed: Error with exit code 137"), (_deleted, "deleted; it was Running")]
)
def test_a_pod_that_is_lost_is_named_and_ends_the_load(
    two: Two, lose: Callable[[Two, Manifest], None], words: str
) -> None:
    """Red when the rows of the other pod pass for the load, the loss has no name, or it is waited for."""
    with two.server(EchoTiming(ttft_ms=200, itl_ms=10, tokens=4)) as server, ThreadPoolExecutor(1) as pool:
        plan = two.plan(server, 4000)  # minutes: nobody waits for its end
        load = pool.submit(spread, two.cluster.api, plan, Pods("default", IMAGE, 2, START_IN))
        wait(lambda: len(server.truths), lambda seen: seen > 8, what="answers to both pods", timeout=START_IN + 60)
        [second] = [one for one in two.pods() if one["metadata"]["annotations"][INDEX] == "1"]
        lose(two, second)
        with pytest.raises(PodsLost) as refused:
            load.result(60)
    where = f"{second['metadata']['name']} (shard 1 on {second['spec']['nodeName']})"
    assert f"{where}: {words}" in str(refused.value)
    assert "still Running when the load was given up" in str(refused.value)
    assert two.left() == []
