"""A run directory that is signed as a whole, and what has become of it since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gpuassay.manifest import Manifest, dig
from gpuassay.record.pack import RUN, RunError, check_run
from gpuassay.record.signing import SignatureError, sign, signer

LIST = "signed.txt"
"""The list of a run's files: a header, then a line for each, as `sha256sum` writes them."""
SIGNATURE = f"{LIST}.sig"
"""The signature of the list."""
HEADER = "# gpuassay run {run} on cluster {cluster}"


@dataclass(frozen=True)
class Verified:
    """A signature that fits, and what differs from what was signed.

    Attributes:
        key: whose it is.
        run: id of the run.
        cluster: fingerprint of its cluster.
        differences: a line for each file that was changed, added or taken away.
    """

    key: Ed25519PublicKey
    run: str
    cluster: str
    differences: list[str]


def cluster_fingerprint(told: Manifest) -> str:
    """Digest of what `run.json` says of cluster, components and machine: another cluster has another one."""
    said = {key: told.get(key) for key in ("cluster", "components", "discovered", "emulated", "capabilities")}
    said["machine"] = dig(told, "machine", "fingerprint")
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def sign_run(folder: Path, key: Ed25519PrivateKey | None) -> str:
    """Write list and signature into a run directory, without a key the list alone; the fingerprint of its cluster.

    Raises:
        RunError: it is no run directory, has not ended, or holds something that is no file.
        OSError: it cannot be written.
    """
    told = check_run(folder)
    if told.get("ended") is None:
        raise RunError(f"{folder}: the run has not ended: what it will hold cannot be signed")
    cluster = cluster_fingerprint(told)
    lines = [HEADER.format(run=told["run_id"], cluster=cluster)]
    lines += [f"{digest}  {name}" for name, digest in sorted(_digests(folder).items())]
    listed = "\n".join(lines) + "\n"
    (folder / LIST).write_text(listed, encoding="utf-8")
    (folder / SIGNATURE).unlink(missing_ok=True)
    if key is not None:
        (folder / SIGNATURE).write_text(sign(listed.encode(), key))
    return cluster


def verify_run(folder: Path) -> Verified:
    """Look whether a run directory is what was signed.

    Raises:
        RunError: it is no run directory, or holds something that is no file.
        SignatureError: it is not signed, or the signature does not fit.
    """
    told = check_run(folder)
    try:
        listed, signature = (folder / LIST).read_bytes(), (folder / SIGNATURE).read_text()
    except FileNotFoundError as missing:
        raise SignatureError(f"{folder}: not signed: {Path(str(missing.filename)).name} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"{folder}: the signature cannot be read: {error}") from None
    key = signer(listed, signature, str(folder / SIGNATURE))
    header, *lines = listed.decode().splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    seen = _digests(folder)
    differences = [f"{name} is missing" for name in sorted(wanted.keys() - seen.keys())]
    differences += [f"{name} was added" for name in sorted(seen.keys() - wanted.keys())]
    differences += [f"{name} was changed" for name in sorted(wanted.keys() & seen.keys()) if wanted[name] != seen[name]]
    cluster = cluster_fingerprint(told)
    if header != HEADER.format(run=told.get("run_id"), cluster=cluster):
        differences.append(f"{RUN} tells of another run or cluster than was signed ({header.removeprefix('# ')})")
    return Verified(key, str(told.get("run_id")), cluster, differences)


def _digests(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in folder.rglob("*"):
        name = place.relative_to(folder).as_posix()
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            raise RunError(f"{folder}: {name} is neither file nor folder, so it cannot be signed: remove it")
        if "\n" in name:
            raise RunError(f"{folder}: the name {name!r} holds a line break: rename it")
        if place.is_file() and name not in (LIST, SIGNATURE):
            found[name] = hashlib.sha256(place.read_bytes()).hexdigest()
    return found
