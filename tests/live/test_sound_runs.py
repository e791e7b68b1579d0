"""A sound platform is not refuted: whole runs, beside a crowd and again and again. Hours, so only where asked for.

    GPUASSAY_CROWD=4 .venv/bin/python -m pytest tests/live/test_sound_runs.py -k crowd -s
    GPUASSAY_SOUND_RUNS=6 .venv/bin/python -m pytest tests/live/test_sound_runs.py -k again -s

The first runs the functional suite beside that many busy loops per core, the second that many whole default runs one
after the other on a machine that should do nothing else. Each run's accounting, with every FAIL and ERROR, is a line of
`reports/sound-runs.jsonl`. Everything that is needed should be built before (`make build`, `gpuassay build slices`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CROWD = int(os.environ.get("GPUASSAY_CROWD", "0"))
RUNS = int(os.environ.get("GPUASSAY_SOUND_RUNS", "0"))
REFUTED = {"FAIL", "ERROR"}


@contextmanager
def crowd(loops: int) -> Generator[None]:
    """Busy loops that are none of the run's programs.

    Each in a session of its own: where the kernel shares CPUs out by session (sched_autogroup), loops of one session
    together would get no more than one program of the run.
    """
    burn = "import ctypes; ctypes.CDLL(None).prctl(1, 9)\nwhile True: pass"
    programs = [subprocess.Popen([sys.executable, "-c", burn], start_new_session=True) for _ in range(loops)]
    try:
        yield
    finally:
        for one in programs:
            one.kill()
            one.wait()


def one_run(name: str, *arguments: str) -> list[str]:
    """Run the suites; keep the accounting; the behaviours that were refuted or broke, with their reasons."""
    runs = ROOT / "reports" / "sound-runs"
    command = [sys.executable, "-m", "pytest", "suites", "--build", "slices", "-q", "--run-dir", str(runs), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    newest = max(runs.iterdir())
    verdicts = [json.loads(line) for line in (newest / "verdicts.jsonl").read_text().splitlines()]
    states = Counter(one["state"] for one in verdicts)
    red = [f"{one['state']} {one['behaviour']}: {one['reason'][:500]}" for one in verdicts if one["state"] in REFUTED]
    line = {"name": name, "run": newest.name, "code": done.returncode, "states": states, "red": red}
    with (ROOT / "reports" / "sound-runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(name, newest.name, f"exit code {done.returncode}", dict(states), *red, sep="\n  ", flush=True)
    return red


@pytest.mark.timeout(4 * 3600)
@pytest.mark.skipif(not CROWD, reason="takes an hour: asked for by GPUASSAY_CROWD=LOOPS-PER-CORE")
def test_a_sound_platform_in_a_crowd_is_neither_refuted_nor_broken() -> None:
    """Red if a busy neighbour makes a behaviour FAIL or ERROR; INCONCLUSIVE is what it may make of one."""
    with crowd(CROWD * (os.cpu_count() or 1)):
        assert one_run(f"beside {CROWD} busy loops per core", "-m", "not perf and not scale") == []


@pytest.mark.timeout(6 * 3600)
@pytest.mark.skipif(not RUNS, reason="takes hours: asked for by GPUASSAY_SOUND_RUNS=HOW-MANY")
def test_a_sound_platform_passes_again_and_again() -> None:
    """Red if a coin decides a run: one FAIL in any of them."""
    red = {number: one_run(f"run {number} of {RUNS}") for number in range(1, RUNS + 1)}
    assert not {number: found for number, found in red.items() if found}
