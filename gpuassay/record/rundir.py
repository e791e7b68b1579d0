"""Making and describing a run directory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.secrets import hide_known, hide_words

FORMAT = 1
"""Version of the run directory; readers refuse any other."""


RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
"""A run's id, which is the name of its directory: UTC time, and 4 hex digits."""


def new_id() -> str:
    """A name for a run, unique on any cluster."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def new_run_dir(base: Path) -> Path:
    """Create `base/<run id>` and point `base/../latest` at it, unless something of the user's has that name.

    Raises:
        OSError: it cannot be created.
    """
    run = base / new_id()
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "this is a file; name a folder with --run-dir", str(base))
    if base.is_symlink() and not base.exists():
        raise FileNotFoundError(errno.ENOENT, "this link leads nowhere; name a folder with --run-dir", str(base))
    if (base / "run.json").exists():
        raise NotADirectoryError(
            errno.ENOTDIR, "a run is kept here; name the folder above it with --run-dir", str(base)
        )
    try:
        (run / "recordings").mkdir(parents=True)
        (run / "exhibits").mkdir()
    except OSError:
        shutil.rmtree(run, ignore_errors=True)
        raise
    latest = base.parent / "latest"
    if os.path.lexists(latest) and not points_at_a_run(latest):
        return run
    draft = latest.with_name(f".latest-{run.name}")
    try:
        draft.symlink_to(os.path.relpath(run, base.parent))
        draft.replace(latest)
    except OSError:  # no links on this file system, or the folder above is not ours to write: a convenience less
        draft.unlink(missing_ok=True)
    return run


def points_at_a_run(latest: Path) -> bool:
    """Whether `latest` is a link of ours, be its run there or not."""
    return latest.is_symlink() and RUN_ID.fullmatch(Path(os.readlink(latest)).name) is not None


def machine() -> Manifest:
    """What ran the suite; `fingerprint` changes when times stop being comparable."""
    cpu = platform.processor() or platform.machine()
    memory = 0
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
        memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    except OSError:
        pass
    cpus = os.cpu_count() or 1
    described: Manifest = {
        "cpus": cpus,
        "memory_bytes": memory,
        "cpu_model": cpu,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    # memory in GiB and the kernel's first two numbers: a reboot or a patch release is the same machine
    coarse = f"{cpus} {cpu} {memory >> 30} {'.'.join(platform.release().split('.')[:2])}"
    return described | {"fingerprint": hashlib.sha256(coarse.encode()).hexdigest()[:12]}


_writing = threading.Lock()


def describe(run_dir: Path, **facts: Any) -> None:
    """Merge `facts` into `run.json`, writing it atomically."""
    _change(run_dir, lambda known: known | facts)


def describe_cluster(
    run_dir: Path,
    cluster: Manifest,
    *,
    components: Sequence[Manifest],
    emulated: Sequence[Mapping[str, object]],
    capabilities: Iterable[str],
) -> None:
    """Add a cluster to `run.json`: what several have in common is said once, what they are follows each other."""

    def add(known: Manifest) -> Manifest:
        before = known["cluster"]

        def all_told(field: str, between: str) -> str:
            told: list[str] = [] if before["provider"] == "none" else before[field].split(between)
            return between.join(dict.fromkeys([*told, cluster[field]]))

        return known | {
            "cluster": cluster
            | {"provider": all_told("provider", " + "), "description": all_told("description", "; ")},
            "components": known["components"] + [one for one in components if one not in known["components"]],
            "emulated": known["emulated"] + [one for one in emulated if one not in known["emulated"]],
            "capabilities": sorted({*known["capabilities"], *capabilities}),
        }

    _change(run_dir, add)


def _change(run_dir: Path, how: Callable[[Manifest], Manifest]) -> None:
    target = run_dir / "run.json"
    with _writing:  # clusters side by side describe themselves
        known: Manifest = json.loads(target.read_text()) if target.exists() else {}
        draft = target.with_suffix(".new")
        draft.write_text(hide_known(json.dumps(how(known), indent=1)) + "\n")
        draft.replace(target)


def begin(run_dir: Path, *, mode: str, replay_of: str | None, mutant: str | None, command: Sequence[str]) -> None:
    """Write the first `run.json`: who and how; the cluster is added when it is up."""
    describe(
        run_dir,
        format=FORMAT,
        run_id=run_dir.name,
        mode=mode,
        replay_of=replay_of,
        started=now(),
        ended=None,
        command=hide_words(command) or [sys.executable],
        cluster={"provider": "none", "kubernetes": "", "description": "no cluster was opened"},
        components=[],
        machine=machine(),
        emulated=[],
        capabilities=[],
        mutant=mutant,
    )


def now() -> str:
    """The time as ISO 8601 in UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
