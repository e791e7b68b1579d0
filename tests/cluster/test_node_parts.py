"""Parts of a real node that need neither root nor programs: images, configuration, cgroups, checks."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from gpuassay.cluster.node import cgroups, checks, configuration
from gpuassay.cluster.node.image import Image, write_archive
from gpuassay.cluster.node.parts import reserved
from gpuassay.workloads import containers

ROOT = Path(__file__).parents[2]

V1 = """\
31 24 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
34 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
"""


def _read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {one.name: opened.extractfile(one).read() for one in opened if one.isfile()}  # pyright: ignore[reportOptionalMemberAccess]


def test_an_archive_holds_every_image_under_all_its_names(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"not really a program")
    images = [Image(("a/b:1", "c/d:2"), (("/run-me", program),), ("/run-me", "--fast"))]
    files = _read(write_archive(tmp_path / "images.tar", images))
    entries = json.loads(files["index.json"])["manifests"]
    assert [one["annotations"]["io.containerd.image.name"] for one in entries] == ["a/b:1", "c/d:2"]
    manifest = json.loads(files["blobs/" + entries[0]["digest"].replace(":", "/")])
    config = json.loads(files["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["config"]["Entrypoint"] == ["/run-me", "--fast"]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    layer = files["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        member = opened.getmember("run-me")
        assert member.mode == 0o755
        assert opened.getmember("tmp").isdir()


def test_every_blob_is_named_by_its_digest(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"x")
    files = _read(write_archive(tmp_path / "images.tar", [Image(("a:1",), (("/x", program),), ("/x",))]))
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 3
    assert all(name.rsplit("/", 1)[1] == hashlib.sha256(content).hexdigest() for name, content in blobs.items())


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "images.tar", [Image(("a:1",), (("/x", tmp_path / "none"),), ("/x",))])


def test_containerd_is_configured_in_toml_with_paths_that_need_quoting() -> None:
    odd = Path('/with "quotes" and spaces')
    text = configuration.containerd(odd, odd, odd, odd, snapshotter="native", restrict_oom=True)
    settings = tomllib.loads(text)
    assert settings["root"] == str(odd)
    assert settings["plugins"]["io.containerd.cri.v1.images"]["snapshotter"] == "native"
    runtime = settings["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] is True
    assert runtime["cdi_spec_dirs"] == ["/run/cdi"]
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == str(odd)


def test_pods_get_addresses_of_the_nodes_own_subnet() -> None:
    plugin = configuration.cni("cni0", "198.18.7.2", "198.18.7.1")["plugins"][0]
    [[given]] = plugin["ipam"]["ranges"]
    assert (given["subnet"], given["gateway"]) == ("198.18.7.0/24", "198.18.7.1")
    assert plugin["isGateway"] is False
    assert plugin["ipMasq"] is False


def test_the_images_of_pods_are_those_that_nodes_hold() -> None:
    assert containers.IMAGE == configuration.WORKLOAD


def test_arguments_of_the_workload_program_are_cut_into_steps() -> None:
    assert containers.arguments(("serve", 80), ("wait",)) == ["serve", "80", "--", "wait"]


def test_hierarchies_of_version_1_are_read_with_their_controllers() -> None:
    found = cgroups.hierarchies(V1)
    assert [(one.at.name, one.version) for one in found] == [("cpu", 1), ("cpuset", 1), ("memory", 1), ("pids", 1)]
    assert "memory" in found[2].controllers


def test_missing_controllers_are_named() -> None:
    lines = [line for line in V1.splitlines() if "pids" not in line and "cpuset" not in line]
    assert "cpuset, pids" in str(cgroups.lacking(cgroups.hierarchies("\n".join(lines))))
    assert "no cgroup hierarchy" in str(cgroups.lacking([]))


def _fake_hierarchies(folder: Path) -> list[cgroups.Hierarchy]:
    for name in ("cpuset", "unified"):
        (folder / name).mkdir()
    for file, text in (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")):
        (folder / "cpuset" / file).write_text(text)
    (folder / "unified" / "cgroup.subtree_control").write_text("cpu")
    return [
        cgroups.Hierarchy(folder / "cpuset", 1, frozenset({"rw", "cpuset"})),
        cgroups.Hierarchy(folder / "unified", 2, frozenset({"cpu", "memory", "pids"})),
    ]


def test_a_new_cgroup_gets_cpus_and_hands_controllers_down(tmp_path: Path) -> None:
    found = _fake_hierarchies(tmp_path)
    cgroups.make("mine", found)
    assert (tmp_path / "cpuset" / "mine" / "cpuset.cpus").read_text() == "0-1"
    assert (tmp_path / "unified" / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (tmp_path / "unified" / "mine").is_dir()


def test_a_root_with_processes_in_it_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when version 2's rule against inner processes ends as a bare EBUSY."""
    found = _fake_hierarchies(tmp_path)

    def busy(*_: object) -> int:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "write_text", busy)
    with pytest.raises(
        OSError, match=r"controllers memory, pids cannot be handed down in .* \(Device or resource busy\)"
    ):
        cgroups.make("mine", found[1:])


def test_a_cgroup_goes_with_all_below_it_and_nothing_else(tmp_path: Path) -> None:
    found = _fake_hierarchies(tmp_path)
    (tmp_path / "unified" / "mine" / "pods" / "one").mkdir(parents=True)
    (tmp_path / "unified" / "others").mkdir()
    assert cgroups.remove("mine", found) == []
    assert not (tmp_path / "unified" / "mine").exists()
    assert (tmp_path / "unified" / "others").is_dir()


def test_a_folder_that_is_another_one_inside_is_refused() -> None:
    assert "lies beneath /var/lib" in str(checks.hidden([Path("/tmp"), Path("/var/lib/somewhere")]))
    assert checks.hidden([Path("/tmp/somewhere")]) is None


def test_labels_of_kubernetes_domains_are_not_for_kubelets() -> None:
    assert reserved("node-role.kubernetes.io/gpu")
    assert reserved("kubernetes.io/arch")
    assert not reserved("nvidia.com/mig.capable")
    assert not reserved("plain")


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert str(checks.machine()).startswith("a real node needs root")


def test_a_root_without_rights_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(checks, "_effective", lambda: 0)
    assert "CAP_SYS_ADMIN" in str(checks.machine())


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("true", "a real node needs the machine's own root"),
        ("echo 0 > /proc/sys/user/max_net_namespaces", "a real node needs net namespaces, and /proc/sys/user/max_net"),
    ],
)
def test_a_root_of_a_user_namespace_is_told_so(before: str, words: str) -> None:
    """Red when a rootless container is taken for a machine, or a limit of namespaces is found out by a failed start."""
    inside = ("unshare", "--user", "--map-root-user", "sh", "-ec")
    if subprocess.run([*inside, before], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("this machine lets nobody make a user namespace, or set its limits")
    look = f"{sys.executable} -c 'from gpuassay.cluster.node import checks; print(checks.machine())'"
    done = subprocess.run([*inside, f"{before}; {look}"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.startswith(words), done.stdout + done.stderr


def test_a_kubelet_without_an_inotify_instance_is_told_in_one_line() -> None:
    """Red when twenty lines of a kubelet's log stand for a limit that its user can raise."""
    last = (
        'E1122 00:22:17.888761 28 kubelet.go:1804] "Failed to start cAdvisor" err="inotify_init: too many open files"'
    )
    told = str(checks.used_up(["something else", last]))
    assert "inotify instances of this user are in use" in told and "raise fs.inotify.max_user_instances" in told
    assert "\n" not in told
    assert checks.used_up(["E1122 open /x: too many open files"]) is None
