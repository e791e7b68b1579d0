"""`gpuassay verify`: look whether a run directory is what somebody signed. Needs no network."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.record.signed_run import verify_run
from gpuassay.record.signing import SignatureError, fingerprint, public_key

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "verify",
        help="look whether a run directory is what was signed",
        description="Exit code 1 if a file was changed, added or taken away since; 2 if there is no fitting signature.",
    )
    parser.add_argument("folder", metavar="RUN", type=place, help="a run directory that was signed")
    parser.add_argument("--key", metavar="FILE", type=place, help="the public key whose signature it must be")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say who signed it, and a line for each difference."""
    wanted = public_key(arguments.key) if arguments.key else None
    found = verify_run(arguments.folder)
    who = fingerprint(found.key)
    if wanted is not None and fingerprint(wanted) != who:
        raise SignatureError(f"{arguments.folder}: signed by {who}, not by the key in {arguments.key}")
    for line in found.differences:
        print(f"{arguments.folder}: {line}", file=sys.stderr)
    if found.differences:
        return 1
    trust = "" if wanted else "; --key FILE makes sure whose key that is"
    print(f"{arguments.folder}: run {found.run} on cluster {found.cluster}, as signed by {who}{trust}")
    return 0
