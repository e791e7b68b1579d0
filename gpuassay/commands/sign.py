"""`gpuassay sign`: sign a run directory with a key of OpenSSH, so that no file of it can be changed unseen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.record.signed_run import LIST, SIGNATURE, sign_run
from gpuassay.record.signing import NAMESPACE, fingerprint, private_key

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "sign",
        help="sign a run directory with an SSH key",
        description="`gpuassay verify`, and ssh-keygen -Y verify, look whether it is still what was signed.",
    )
    parser.add_argument("folder", metavar="RUN", type=place, help="the directory of a run that has ended")
    parser.add_argument(
        "--key", metavar="FILE", type=place,
        help="an Ed25519 private key of OpenSSH without a passphrase (else leave it out: ssh-keygen signs)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the signature and say whose it is, and of which cluster's run."""
    key = private_key(arguments.key) if arguments.key else None
    cluster = sign_run(arguments.folder, key)
    if key is None:
        listed = arguments.folder / LIST
        print(f"{listed}: written, not signed; sign it: ssh-keygen -Y sign -n {NAMESPACE} -f YOUR-KEY {listed}")
        return 0
    print(f"{arguments.folder / SIGNATURE}: signed by {fingerprint(key.public_key())}; cluster {cluster}")
    return 0
