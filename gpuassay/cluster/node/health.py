"""Asks a program that listens on a node's own loopback address whether it is well."""

from __future__ import annotations

import subprocess
import sys

from gpuassay.cluster.node.shell import inside_command, inside_environment

_ASK = (
    "import http.client,sys;"
    "c=http.client.HTTPConnection('127.0.0.1',int(sys.argv[1]),timeout=2);"
    "c.request('GET','/healthz');"
    "sys.exit(c.getresponse().status!=200)"
)


def healthy(pid: int, port: int) -> bool:
    """Whether `GET /healthz` on the node's loopback address answers 200."""
    command = inside_command(pid, [sys.executable, "-ISc", _ASK, str(port)])
    done = subprocess.run(command, env=inside_environment({}), capture_output=True, check=False, timeout=30)
    return done.returncode == 0
