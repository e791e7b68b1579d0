"""The load generator as a program: `python -m gpuassay.load PLAN.json OUT.jsonl [--shard I/N]`.

It is a process of its own because threads of another program would keep it from the interpreter lock while answers
come in. Exit codes: 0 all asked (failed requests are rows), 2 the plan cannot be carried out (one line on standard
error), 3 an error of ours, 130 interrupted (rows so far are written).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gpuassay.load.engine import carry_out
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.plan import read_plan
from gpuassay.load.rows import write_result
from gpuassay.secrets import hide

BAD_INPUT, OWN_ERROR, INTERRUPTED = 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpuassay.load", description="Put a planned load on an LLM server.")
    parser.add_argument("plan", type=Path, help="the plan, JSON (docs/load.md)")
    parser.add_argument("out", type=Path, help="where rows are written, one JSON object a line")
    parser.add_argument(
        "--shard",
        default=f"{os.environ.get('JOB_COMPLETION_INDEX', '0')}/{os.environ.get('LOAD_SHARDS', '1')}",
        help="I/N: send every N-th ask from number I on (default: of an Indexed Job's pod by its environment)",
    )
    chosen = parser.parse_args(arguments)
    try:
        shard = _shard(chosen.shard)
        plan = read_plan(chosen.plan)
        if not chosen.out.parent.is_dir():
            raise LoadError(f"{chosen.out.parent} is no folder to write rows to")
        result = carry_out(plan, shard)
        write_result(result, chosen.out)
    except CountsDoNotClose as error:
        print(f"error: {hide(str(error))}", file=sys.stderr)
        return OWN_ERROR
    except LoadError as error:
        print(f"error: {hide(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"error: {error.filename or 'load generator'}: {error.strerror}", file=sys.stderr)
        return OWN_ERROR
    return INTERRUPTED if result.tail.interrupted else 0


def _shard(text: str) -> tuple[int, int]:
    number, _, shards = text.partition("/")
    try:
        return int(number), int(shards)
    except ValueError:
        raise LoadError(f"--shard {text}: not of the form I/N, such as 0/4") from None


if __name__ == "__main__":
    sys.exit(main())
