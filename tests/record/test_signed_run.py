"""A signed run directory: every change of it is named, and only the right key passes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gpuassay.cli import main
from gpuassay.record import rundir
from gpuassay.record.recording import write_recording
from gpuassay.record.signed_run import LIST, SIGNATURE
from gpuassay.record.signing import NAMESPACE
from tests.record.parts import meta


def write_key(place: Path) -> Path:
    """A new key and, beside it, its public half."""
    key = Ed25519PrivateKey.generate()
    place.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    place.with_suffix(".pub").write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    return place


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path / "id")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has ended, with one recording."""
    folder = rundir.new_run_dir(tmp_path / "runs")
    rundir.begin(folder, mode="live", replay_of=None, mutant=None, command=["pytest"])
    rundir.describe(folder, ended=rundir.now())
    write_recording(folder / "recordings" / "kueue.test", meta())
    (folder / "verdicts.jsonl").write_text("{}\n")
    return folder


def signed(run: Path, key: Path) -> Path:
    assert main(["sign", str(run), "--key", str(key)]) == 0
    return run


def other_cluster(run: Path) -> None:
    told = json.loads((run / "run.json").read_text())
    told["cluster"]["provider"] = "another"
    (run / "run.json").write_text(json.dumps(told))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda run: (run / "verdicts.jsonl").write_text("[]\n"), "verdicts.jsonl was changed"),
    "added": (lambda run: (run / "recordings" / "new.txt").touch(), "recordings/new.txt was added"),
    "missing": (
        lambda run: (run / "recordings" / "kueue.test" / "audit.jsonl").unlink(),
        "recordings/kueue.test/audit.jsonl is missing",
    ),
    "another cluster": (other_cluster, "run.json tells of another run or cluster than was signed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_one_line(run: Path, key: Path, change: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when a file of a signed run can be changed, added or taken away unseen."""
    signed(run, key)
    assert main(["verify", str(run), "--key", str(key.with_suffix(".pub"))]) == 0
    assert "on cluster" in capfd.readouterr().out
    damage, line = CHANGES[change]
    damage(run)
    assert main(["verify", str(run)]) == 1
    told = capfd.readouterr().err.splitlines()
    assert any(line in one for one in told) and len(told) <= 2, told


def test_a_list_that_was_edited_to_fit_is_refused(run: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when who changes a file can change its line in the list as well."""
    signed(run, key)
    (run / LIST).write_text((run / LIST).read_text().replace("verdicts.jsonl", "verdicts2.jsonl"))
    assert main(["verify", str(run)]) == 2
    assert "the signature does not fit: what was signed has been changed" in capfd.readouterr().err


def test_another_key_is_refused(run: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when anybody can sign a run anew."""
    signed(run, key)
    assert main(["verify", str(run), "--key", str(write_key(tmp_path / "other").with_suffix(".pub"))]) == 2
    assert "not by the key in" in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen of OpenSSH")
def test_openssh_verifies_the_signature(run: Path, key: Path, tmp_path: Path) -> None:
    """Red when the format is not OpenSSH's."""
    signed(run, key)
    allowed = tmp_path / "allowed"
    allowed.write_text("me " + key.with_suffix(".pub").read_text())
    command = ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "me", "-n", NAMESPACE, "-s", run / SIGNATURE]
    done = subprocess.run(command, input=(run / LIST).read_bytes(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen of OpenSSH")
def test_openssh_signs_with_a_protected_key(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when a key with a passphrase leads nowhere, or what ssh-keygen signs is not accepted."""
    sealed = tmp_path / "sealed"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "horse", "-f", sealed], check=True, timeout=60)
    assert main(["sign", str(run), "--key", str(sealed)]) == 2
    told = capfd.readouterr().err
    assert "protected by a passphrase: leave --key out" in told and told.count("\n") == 1
    assert main(["sign", str(run)]) == 0
    assert "ssh-keygen -Y sign -n gpuassay-run" in capfd.readouterr().out
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "horse", "-N", "", "-f", sealed], check=True, timeout=60)
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", sealed, run / LIST]
    subprocess.run(sign, check=True, timeout=60)
    assert main(["verify", str(run), "--key", str(tmp_path / "sealed.pub")]) == 0


def test_bad_keys_are_one_line_without_secrets(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when a key that cannot be used gives a traceback."""
    foreign = tmp_path / "p256"
    foreign.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    junk = tmp_path / "junk"
    junk.write_text("no key")
    for place, line in (
        (foreign, "no Ed25519 key"), (junk, "no private key of OpenSSH"),
        (tmp_path / "absent", "No such file"),
    ):  # fmt: skip
        assert main(["sign", str(run), "--key", str(place)]) == 2
        told = capfd.readouterr().err
        assert line in told and told.count("\n") == 1, told


def test_what_cannot_be_signed_or_verified_is_one_line(run: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Red when a run without a signature, or with a broken one, passes or gives a traceback."""
    assert main(["verify", str(run)]) == 2
    assert "not signed: signed.txt is missing" in capfd.readouterr().err
    rundir.describe(run, ended=None)
    assert main(["sign", str(run), "--key", str(key)]) == 2
    assert "has not ended" in capfd.readouterr().err
    rundir.describe(run, ended=rundir.now())
    signed(run, key)
    whole = (run / SIGNATURE).read_text()
    for broken in ("", "x", whole[: len(whole) // 2], whole.replace("U1NIU0lH", "U1NIU0lI")):
        (run / SIGNATURE).write_text(broken)
        assert main(["verify", str(run)]) == 2
        assert "no signature as OpenSSH writes it" in capfd.readouterr().err
    (run / "link").symlink_to("run.json")
    assert main(["sign", str(run), "--key", str(key)]) == 2
    assert "link is neither file nor folder" in capfd.readouterr().err
