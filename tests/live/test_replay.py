"""A fresh run is judged again from its files: the same verdicts, byte for byte."""

from __future__ import annotations

from pathlib import Path

from tests.live.conftest import QUICK, LiveSuite


def test_replays_of_a_fresh_run_and_workers_agree_with_it(suite: LiveSuite) -> None:
    """Red when a verdict depends on the process that judges, on packing, or on who owns the cluster."""
    suite.write(QUICK)
    fresh = suite.run()
    assert fresh.states == {"demo.live.finishes": "PASS", "demo.live.once": "PASS"}, fresh.output
    assert fresh.code == 0
    stored, expected = fresh.run.resolve(), (fresh.run / "verdicts.jsonl").read_bytes()
    assert _replayed(suite, stored) == expected

    archive = suite.folder / "run.tar.xz"
    packed = suite.run(str(stored), str(archive), program=("gpuassay", "pack"))
    assert packed.code == 0, packed.output
    assert _replayed(suite, archive) == expected

    parallel = suite.run("-n", "2")
    assert parallel.states == fresh.states, parallel.output
    assert parallel.code == 0
    assert parallel.output.count("starting the control plane") == 1


def _replayed(suite: LiveSuite, run: Path) -> bytes:
    outcome = suite.run("--replay", str(run))
    assert outcome.code == 0, outcome.output
    assert outcome.run.resolve() != run
    return (outcome.run / "verdicts.jsonl").read_bytes()
