"""The recorder process against a server that misbehaves as real ones do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.live import LiveView
from gpuassay.record.process import start_recorder
from gpuassay.record.resources import RecorderConfig, RecorderError, Resource
from gpuassay.waiting import WaitError, WaitTimeout, wait
from tests.record.conftest import PODS, OpenView
from tests.record.fake_api import PATH, FakeApi, kubeconfig


def lines(spool: Path) -> list[Manifest]:
    return [json.loads(line) for line in (spool / "Pod.jsonl").read_text().splitlines()]


def seen(view: LiveView, *names: str) -> None:
    view.wait(lambda v: {one["metadata"]["name"] for one in v.objects("Pod")} == set(names), what=f"pods {names}")


def synced(view: LiveView) -> LiveView:
    view.wait(lambda v: v.synced(["Pod"]), what="the first list")
    return view


def test_lists_in_pages_then_watches(api: FakeApi, open_view: OpenView, spool: Path) -> None:
    for n in range(5):
        api.put("ADDED", f"old-{n}")
    api.page = 2
    view = synced(open_view())
    new = api.put("ADDED", "new", node="n1")
    seen(view, *(f"old-{n}" for n in range(5)), "new")
    assert api.lists == 3
    assert view.caught_up("Pod", new["metadata"]["uid"], new["metadata"]["resourceVersion"])
    assert not view.caught_up("Pod", "any", api.version + 1)
    found = view.get("Pod", "new", "ns-a")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    written = lines(spool)
    assert [line["type"] for line in written] == ["ADDED"] * 5 + ["SYNC", "ADDED"]
    assert [line.get("synthetic", False) for line in written] == [True] * 5 + [False, False]
    assert written[0]["object"]["kind"] == "Pod", "items of a list get their kind"


def test_resumes_after_the_server_ends_a_watch(api: FakeApi, open_view: OpenView, spool: Path) -> None:
    view = synced(open_view())
    for n in range(6):
        api.put("ADDED", f"p{n}")
        api.cut()
    seen(view, *(f"p{n}" for n in range(6)))
    written = [line for line in lines(spool) if line["type"] != "SYNC"]
    assert [line["object"]["metadata"]["name"] for line in written] == [f"p{n}" for n in range(6)]
    assert not any(line["type"] == "GAP" or "synthetic" in line for line in written)
    assert api.lists == 1


def test_resumes_at_the_version_of_a_bookmark(api: FakeApi, open_view: OpenView) -> None:
    view = synced(open_view())
    api.put("ADDED", "a")
    api.bookmark(500)
    view.wait(lambda v: v.caught_up("Pod", "", 500), what="the bookmark")
    api.cut()
    wait(lambda: list(api.watches), lambda opened: len(opened) > 1, what="a second watch")
    assert api.watches[1] == 500


def test_lost_history_leaves_a_gap_and_a_synthetic_difference(api: FakeApi, open_view: OpenView, spool: Path) -> None:
    for name in ("stays", "changes", "goes"):
        api.put("ADDED", name)
    view = synced(open_view())
    view.register("token", ["ns-a"])
    before = api.version
    with api.changed:  # nothing reaches the recorder between these changes
        api.put("MODIFIED", "changes", node="n1")
        api.put("DELETED", "goes")
        api.put("ADDED", "comes")
        api.forget_history()
        api.cut()
    seen(view, "stays", "changes", "comes")
    [gap] = view.gaps("token")
    assert (gap["kind"], gap["from"], gap["to"]) == ("Pod", before, api.version)
    assert "410" in gap["reason"]
    after = lines(spool)
    start = next(n for n, line in enumerate(after) if line["type"] == "GAP")
    difference = {(line["type"], line["object"]["metadata"]["name"]) for line in after[start + 1 : -1]}
    assert difference == {("DELETED", "goes"), ("MODIFIED", "changes"), ("ADDED", "comes")}
    assert all(line["synthetic"] for line in after[start + 1 : -1])
    api.put("ADDED", "later")
    seen(view, "stays", "changes", "comes", "later")


def test_an_api_that_appears_later_is_recorded_from_then_on(api: FakeApi, open_view: OpenView, spool: Path) -> None:
    api.served = False
    view = open_view()
    wait(lambda: api.asked_404, lambda asked: asked >= 1, what="a request answered by 404")
    api.served = True
    synced(view)
    api.put("ADDED", "a")
    seen(view, "a")
    assert [line["type"] for line in lines(spool)] == ["SYNC", "ADDED"]


def test_an_api_that_must_be_there_and_is_not_is_an_error(api: FakeApi, tmp_path: Path, spool: Path) -> None:
    api.served = False
    recorder = start_recorder(kubeconfig(api, tmp_path), spool, resources=[Resource("Pod", PATH)])
    assert recorder.process.stdout is not None
    view = LiveView(spool, recorder.process.stdout)
    with pytest.raises(RecorderError, match=r"the recorder died: recorder: /api/v1/pods: HTTP 404"):
        view.wait(lambda _: False, what="nothing")
    recorder.stop()
    view.close()


def test_a_refused_credential_is_an_error(api: FakeApi, open_view: OpenView) -> None:
    api.status = 401
    with pytest.raises(RecorderError, match="HTTP 401"):
        open_view().wait(lambda _: False, what="nothing")


def test_an_overloaded_server_is_asked_again(api: FakeApi, open_view: OpenView) -> None:
    api.status = 503
    view = open_view()
    log = view._folder / "recorder.log"  # pyright: ignore[reportPrivateUsage]
    wait(lambda: log.read_text() if log.exists() else "", lambda text: "503" in text, what="a note about 503")
    api.status = 200
    synced(view)


def test_a_parent_that_does_not_read_blocks_nothing(api: FakeApi, tmp_path: Path, spool: Path) -> None:
    recorder = start_recorder(kubeconfig(api, tmp_path), spool, resources=PODS)
    try:
        wait(lambda: list(api.watches), bool, what="the watch")
        count = 9000  # wake-up lines of about 12 bytes: more than a pipe's 64 KiB
        for n in range(count):
            api.put("MODIFIED", "busy", n=n)
            if n % 100 == 0:
                api.cut()  # makes many small batches, each with its wake-up
        wait(
            lambda: (spool / "Pod.jsonl").read_bytes().count(b"\n"),
            lambda n: n >= count + 1,
            what="all lines in the spool",
            delay=0.2,
        )
        assert recorder.process.stdout is not None
        view = LiveView(spool, recorder.process.stdout)
        view.wait(lambda v: v.caught_up("Pod", "uid-busy", api.version), what="the parent catching up")
    finally:
        recorder.stop()
    view.close()


def test_a_recorder_that_dies_ends_the_wait(api: FakeApi, tmp_path: Path, spool: Path) -> None:
    recorder = start_recorder(kubeconfig(api, tmp_path), spool, resources=PODS)
    assert recorder.process.stdout is not None
    view = synced(LiveView(spool, recorder.process.stdout))
    recorder.process.kill()
    with pytest.raises(RecorderError, match="the recorder died"):
        view.wait(lambda _: False, what="nothing", timeout=20)
    recorder.stop()
    view.close()
    with pytest.raises(RecorderError, match="closed"):
        view.wait(lambda _: False, what="nothing", timeout=20)


@pytest.mark.parametrize("death_signal", [True, False], ids=["signal", "closed-input"])
def test_a_killed_parent_takes_the_recorder_along(
    api: FakeApi, tmp_path: Path, spool: Path, death_signal: bool
) -> None:
    script = textwrap.dedent(
        """
        import sys, threading, pathlib
        from gpuassay.record.process import start_recorder
        from tests.record.conftest import PODS
        started = []
        def start():
            started.append(start_recorder(sys.argv[1], pathlib.Path(sys.argv[2]), resources=PODS))
        if sys.argv[3] == "True":
            start()
        else:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
        print(started[0].process.pid, flush=True)
        sys.stdin.read()
        """
    )
    arguments = [str(kubeconfig(api, tmp_path)), str(spool), str(death_signal)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait(lambda: list(api.watches), bool, what="the watch, though the starting thread may have ended")
        assert RecorderConfig.read(spool / "recorder.json").death_signal is death_signal
        os.kill(parent.pid, signal.SIGKILL)
        wait(lambda: alive(pid), lambda lives: not lives, what="the recorder's end", timeout=5)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_waits_of_the_view_time_out_and_fail_fast(api: FakeApi, open_view: OpenView) -> None:
    view = synced(open_view())
    api.put("ADDED", "a")
    seen(view, "a")
    with pytest.raises(
        WaitTimeout, match=r"waiting for a ghost: not within 0.01 s; last seen: LiveView\(\{'Pod': 1\}\)"
    ):
        view.wait(lambda _: False, what="a ghost", timeout=0.01)
    with pytest.raises(WaitError, match="waiting for b: a is in the way"):
        view.wait(lambda _: False, what="b", error=lambda v: "a is in the way" if v.get("Pod", "a", "ns-a") else None)


def test_two_resources_of_one_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match="two recorded resources have the kind Pod"):
        start_recorder("none", tmp_path, resources=[*PODS, *PODS])


def test_a_kubeconfig_that_is_none_is_one_line(tmp_path: Path, spool: Path) -> None:
    recorder = start_recorder(tmp_path / "absent", spool, resources=PODS)
    assert recorder.process.stdout is not None
    view = LiveView(spool, recorder.process.stdout)
    with pytest.raises(RecorderError, match=r"kubeconfig .*absent does not exist"):
        view.wait(lambda _: False, what="nothing")
    recorder.stop()
    view.close()
    assert len((spool / "recorder.log").read_text().splitlines()) == 1
