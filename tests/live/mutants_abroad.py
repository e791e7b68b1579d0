"""Mutants as broken installations on a cluster like a user's: behaviours are seen red there, and green without.

    python -m tests.live.mutants_abroad rows.jsonl kueue --seed 1 --mutants 4     # root; again for what is left

Of the mutants that behaviours of the sample name, some are drawn; each breaks a run of a few behaviours that name it,
on a cluster that is reached by nothing but its kubeconfig. The mutant `identity` breaks nothing: all of them must hold.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from gpuassay import scratch
from gpuassay.cluster.base import Cluster
from gpuassay.kills.store import IDENTITY
from gpuassay.session.declared import Declared, everything
from tests.live.mutants_rows import Broken, table
from tests.live.rights_loop import LIMIT, ROOT, SAMPLES, Sample, cluster_for, read_run


def drawn(
    sample: Sample, seed: int, mutants: int, each: int, declared: Sequence[Declared]
) -> Mapping[str, Sequence[str]]:
    """Some mutants, and for each the tests of a few behaviours that name it; `identity` with all of them first."""
    by_mutant: dict[str, list[str]] = defaultdict(list)
    for one in sample.able(declared):
        if one.behaviour.mutant and not one.defect:
            by_mutant[one.behaviour.mutant].append(one.test)
    chance = random.Random(seed)
    names = chance.sample(sorted(by_mutant), min(mutants, len(by_mutant)))
    some = {name: chance.sample(tests, min(each, len(tests))) for name in names for tests in [by_mutant[name]]}
    return {IDENTITY: [test for tests in some.values() for test in tests], **some}


def run_with(cluster: Cluster, sample: Sample, mutant: str, tests: Sequence[str]) -> Broken:
    """One run of `tests` with the mutant."""
    with scratch.scratch("mutants") as folder:
        command = [
            sys.executable, "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider", "--no-recorded", "--mutant", mutant,
            "--cluster", "existing", "--gpuassay-kubeconfig", str(cluster.kubeconfig),
            "--run-dir", str(folder / "runs"), *sample.words,
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
        verdicts, _ = read_run(folder / "runs")
        return Broken(
            system=sample.systems[0], mutant=mutant, seconds=round(time.monotonic() - began, 1),
            states={one["behaviour"]: one["state"] for one in verdicts},
            reasons={one["behaviour"]: str(one.get("reason", "")).partition("\n")[0][:300] for one in verdicts},
            said=(done.stdout + done.stderr).splitlines()[-6:] if not verdicts else [],
        )  # fmt: skip


def main() -> int:
    """Make the runs that are left; 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("system", choices=SAMPLES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=4)
    parser.add_argument("--each", type=int, default=2, help="behaviours for each mutant")
    parser.add_argument("--seconds", type=float, default=200.0, help="begin no run after that")
    parser.add_argument("--beside", type=int, default=3, help="runs at a time")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    file: Path = options.rows
    rows = [Broken(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    if not options.table:
        rows += _runs(options, {(one.system, one.mutant) for one in rows})
    print(table(rows))
    return 1 if any(one.problem for one in rows) else 0


def _runs(options: argparse.Namespace, made: set[tuple[str, str]]) -> list[Broken]:
    sample = SAMPLES[options.system]
    wanted = drawn(sample, options.seed, options.mutants, options.each, everything())
    left = {name: tests for name, tests in wanted.items() if (sample.systems[0], name) not in made}
    found: list[Broken] = []
    with options.rows.open("a") as file, cluster_for(sample) as cluster, ThreadPoolExecutor(options.beside) as pool:
        began = time.monotonic()

        def one(name: str) -> Broken | None:
            return run_with(cluster, sample, name, left[name]) if time.monotonic() - began < options.seconds else None

        for row in filter(None, pool.map(one, left)):
            found.append(row)
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            print(f"{row.mutant}: {row.seconds} s, {row.summary}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
