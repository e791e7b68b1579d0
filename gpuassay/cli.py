"""The `gpuassay` command."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = (
    "run",
    "demo",
    "doctor",
    "build",
    "wheels",
    "up",
    "sweep",
    "new-suite",
    "report",
    "mutants",
    "catalogue",
    "api",
    "pack",
    "calibrate",
    "load",
)
"""Sub-commands in the order of the help text; each is the module of that name in `gpuassay.commands`."""


def parser(
    only: str | None = None, commands: Sequence[str] = COMMANDS, package: str = "gpuassay.commands"
) -> argparse.ArgumentParser:
    """The argument parser, with all sub-commands or, to start fast, with `only` one."""
    top = argparse.ArgumentParser(
        prog=package.partition(".")[0], description="Proves what a GPU Kubernetes platform really does.",
        allow_abbrev=False,
    )  # fmt: skip
    subparsers = top.add_subparsers(metavar="command", required=True)
    for name in [only] if only else commands:
        importlib.import_module(f"{package}.{name.replace('-', '_')}").add(subparsers)
    return top


def main(
    argv: Sequence[str] | None = None, commands: Sequence[str] = COMMANDS, package: str = "gpuassay.commands"
) -> int:
    """Run one of the `commands`, each the module of that name in `package`; its exit code.

    An exception whose class has an integer `exit_code` is the user's to mend: its message is printed as one line.
    Everything else is a defect of ours and keeps its traceback.
    """
    if argv is None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # else programs and temporary folders of ours stay
    words = list(sys.argv[1:] if argv is None else argv)
    only = words[0] if words and words[0] in commands else None
    arguments = parser(only, commands, package).parse_args(words)
    try:
        code: Any = arguments.run(arguments)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does. Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("gpuassay: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        code = getattr(type(error), "exit_code", None)
        if not isinstance(code, int):
            raise
        print(f"gpuassay: {error}", file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
