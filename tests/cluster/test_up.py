"""`gpuassay up` as a person meets it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay.cluster import base
from gpuassay.cluster.existing import existing

ROOT = Path(__file__).parents[2]
UP = [sys.executable, "-m", "gpuassay", "up"]


@pytest.mark.usefixtures("programs")
def test_up_gives_a_cluster_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [*UP, "--no-kueue", "--nodes", "2", "--gpus", "4", "--directory", str(tmp_path / "up")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as up:
        assert up.stdout is not None
        said: list[str] = []
        for line in up.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        text = "".join(said)
        found = re.search(r"export KUBECONFIG=(\S+)", text)
        assert found, text
        assert "nothing runs" in text
        with existing(directory=tmp_path, kubeconfig=Path(found[1])) as cluster:
            assert cluster.has(base.FAKE_NODES)
            assert len(cluster.api.list("Node")) == 2
        server = json.loads(Path(found[1]).read_text())["clusters"][0]["cluster"]["server"]
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
    port = int(server.rsplit(":", 1)[1])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    assert f"0100007F:{port:04X}" not in listening


def test_a_wrong_profile_is_one_line_before_anything_is_started() -> None:
    done = subprocess.run([*UP, "--profile", "nope"], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gpuassay up: no Kueue profile is called 'nope'; there are default, ")
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
