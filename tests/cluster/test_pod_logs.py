"""Logs of pods of somebody's cluster, as they are read along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.pod_logs import followed, unreadable
from gpuassay.waiting import wait
from tests.access.apiserver import Answer, Asked, config, serving, written

SELECTOR = "app=kueue"
OLD, NEW = "2000-01-01T00:00:00.000000001Z", "2999-01-01T00:00:00.00000000{}Z"


def _pod(name: str, restarts: int) -> dict[str, Any]:
    status: dict[str, Any] = {"containerStatuses": [{"restartCount": restarts, "state": {"running": {}}}]}
    return {"metadata": {"name": name}, "status": status}


class Kueue:
    """Pods whose logs are told; what is said before the follower began is old."""

    def __init__(self) -> None:
        self.pods = [_pod("a", 0)]
        self.said = {"a": f'{OLD} old\n{NEW.format(1)} {{"n": 1}}\n{NEW.format(2)} two words\n'}

    def __call__(self, asked: Asked) -> Answer | None:
        path = asked.path.partition("?")[0]
        if path.endswith("/pods"):
            return 200, "application/json", json.dumps({"metadata": {}, "items": self.pods})
        if path.endswith("/log"):
            said = self.said[path.split("/")[-2]]
            return 200, "text/plain", f"{OLD} old\n" if "tailLines=1" in asked.path else said
        return None


def test_new_lines_of_every_instance_are_kept_once_and_whole(tmp_path: Path) -> None:
    """Red when what was said before counts, a restart or a second replica is missed, or times stay in the lines."""
    system = Kueue()
    with serving() as server:
        server.answer = system
        api = Api.from_kubeconfig(written(tmp_path, config(server)))
        assert unreadable(api, "kueue-system", SELECTOR) == ""
        file = tmp_path / "log.jsonl"
        with followed(api, "kueue-system", SELECTOR, file):
            wait(lambda: file.exists() and file.read_text().count("\n"), lambda n: n == 2, what="two lines", timeout=20)
            system.said["a"] = f"{NEW.format(3)} restarted\n"
            system.said["b"] = f"{NEW.format(4)} replica\n"
            system.pods = [_pod("a", 1), _pod("b", 0)]
            wait(lambda: file.read_text().count("\n"), lambda n: n == 4, what="four lines", timeout=20)
        assert set(file.read_text().splitlines()) == {'{"n": 1}', "two words", "restarted", "replica"}


def test_logs_that_are_not_ours_to_read_are_told(tmp_path: Path) -> None:
    """Red when the lack of a right is found out by an empty log."""

    def forbidden(asked: Asked) -> Answer | None:
        if asked.path.partition("?")[0].endswith("/log"):
            said = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "pods/log is forbidden"}
            return 403, "application/json", json.dumps(said)
        return Kueue()(asked)

    with serving() as server:
        server.answer = forbidden
        api = Api.from_kubeconfig(written(tmp_path, config(server)))
        assert "pods/log is forbidden" in unreadable(api, "kueue-system", SELECTOR)
