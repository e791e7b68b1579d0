"""The `gpuassay` command."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from gpuassay.secrets import hide
from gpuassay.session import signals
from gpuassay.told import told

CANNOT = 2
"""Exit code where a file cannot be read or written."""

NO_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""Errors of writing to standard output, which has no name."""

COMMANDS = (
    "run",
    "demo",
    "doctor",
    "build",
    "wheels",
    "up",
    "provision",
    "status",
    "remove",
    "sweep",
    "role",
    "new-suite",
    "report",
    "reach",
    "compare",
    "matrix",
    "whatif",
    "kill-matrix",
    "mutants",
    "vacuity",
    "power",
    "paper",
    "catalogue",
    "api",
    "pack",
    "sign",
    "verify",
    "picker-report",
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
    So is an error of the operating system (no space, no permission). Everything else is a defect of ours and keeps
    its traceback.
    """
    if argv is None:
        signals.as_interrupt()  # else programs and temporary folders of ours stay
        sys.excepthook = _without_secrets
    words = list(sys.argv[1:] if argv is None else argv)
    only = words[0] if words and words[0] in commands else None
    arguments = parser(only, commands, package).parse_args(words)
    try:
        code: Any = arguments.run(arguments)
        if sys.stdout is not None:  # closed
            sys.stdout.flush()  # what cannot be written is told here, not by the interpreter as it ends
    except BrokenPipeError:
        _drop_output()  # the reader of our output has gone, as `head` does
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("gpuassay: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        if error.filename is None and error.errno not in NO_OUTPUT:
            raise
        if error.filename is None:
            _drop_output()
        print(f"gpuassay: {'' if error.filename else 'output cannot be written: '}{told(error)}", file=sys.stderr)
        return CANNOT
    except Exception as error:
        code = getattr(type(error), "exit_code", None)
        if not isinstance(code, int):
            raise
        print(f"gpuassay: {hide(str(error))}", file=sys.stderr)
    return int(code)


def _drop_output() -> None:
    """Python would complain once more while it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(hide("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
