"""A fake `go` and a toy component: everything around the compiler is tested without one.

The fake reads its orders from files beside it: `version`, `fail` (text for standard error), `hold` (a FIFO that it
waits for in the middle of a build). It writes every call to `calls` and its process id to `pid`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gpuassay.toolchain.catalogue import COMPONENTS, Component

_GO = """#!/bin/sh
home=$(dirname "$0")
echo "$*" >> "$home/calls"
case "$1 $2" in
"env GOVERSION") cat "$home/version"; exit ;;
"env GOCACHE") echo "$home/gocache"; exit ;;
"list -deps") echo "true true"; echo "true true"; echo "true false"; exit ;;
"list -m") echo "$home/src"; exit ;;
build*)
    echo toy/one >&2
    if [ -e "$home/fail" ]; then cat "$home/fail" >&2; exit 1; fi
    while [ "$1" != -o ]; do shift; done
    echo half > "$2/two"
    echo $$ > "$home/pid"
    if [ -e "$home/hold" ]; then echo building > "$home/started"; read -r _ < "$home/hold"; fi
    for name in one two; do printf '#!/bin/sh\\necho %s v1.2.3\\n' $name > "$2/$name"; chmod +x "$2/$name"; done
    exit ;;
esac
echo "fake go does not know: $*" >&2
exit 1
"""

GO_MOD = """module example.test/toy

go 1.26.0

tool (
	example.test/toy/one // comment
	example.test/toy/cmd/two/v3
)

require example.test/toy v1.2.3
"""


@dataclass(frozen=True)
class FakeGo:
    """Where the fake `go` and its files lie."""

    home: Path

    @property
    def calls(self) -> list[str]:
        at = self.home / "calls"
        return at.read_text().splitlines() if at.exists() else []

    @property
    def builds(self) -> int:
        return sum(call.startswith("build") for call in self.calls)

    def forget_calls(self) -> None:
        (self.home / "calls").unlink(missing_ok=True)

    def set_version(self, version: str) -> None:
        (self.home / "version").write_text(version + "\n")

    def fail_with(self, text: str) -> None:
        (self.home / "fail").write_text(text + "\n")

    def hold(self) -> None:
        """Make builds stop in the middle until `release`, and tell of it through the FIFO `started`."""
        os.mkfifo(self.home / "hold")
        os.mkfifo(self.home / "started")

    def wait_until_building(self) -> int:
        """Block until a held build is under way; the process id of the fake."""
        (self.home / "started").read_text()
        return int((self.home / "pid").read_text())

    def release(self) -> None:
        (self.home / "hold").write_text("go on\n")
        (self.home / "hold").unlink()


def install(home: Path) -> FakeGo:
    """Write the fake into `home`."""
    (home / "src").mkdir(parents=True)
    (home / "gocache").mkdir()
    go = home / "go"
    go.write_text(_GO)
    go.chmod(0o755)
    fake = FakeGo(home)
    fake.set_version("go1.26.6")
    return fake


def component(directory: Path) -> Component:
    """The toy component; its module is made in `directory` where it is missing."""
    directory.mkdir(exist_ok=True)
    if not (directory / "go.mod").exists():
        (directory / "go.mod").write_text(GO_MOD)
        (directory / "go.sum").write_text("example.test/toy v1.2.3 h1:aaaa=\n")
    return Component(
        name="toy",
        directory=directory,
        module="example.test/toy",
        packages={"one": "example.test/toy/one", "deux": "example.test/toy/cmd/two/v3"},
        tags=("fast",),
        stamps={"main.version": "{version}", "main.minor": "{minor}"},
        cpu_seconds=10,
    )


def register(directory: Path) -> Component:
    """Make the toy a known component of this process."""
    toy = component(directory)
    COMPONENTS["toy"] = toy
    return toy
