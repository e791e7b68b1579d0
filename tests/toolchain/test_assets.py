from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.toolchain import Assets, ToolchainError, available, catalogue, module_dir, programs
from gpuassay.toolchain.catalogue import Component, nearest
from tests.toolchain.fake import FakeGo

ENVTEST = ("etcd", "kube-apiserver", "kubectl")
ALL = (*ENVTEST, "kube-controller-manager", "kube-scheduler")


def _directory(at: Path, *names: str, version: str = "v1.36.3") -> Path:
    at.mkdir()
    for name in names:
        (at / name).write_text(f"#!/bin/sh\necho {name} {version}\n")
        (at / name).chmod(0o755)
    return at


def test_a_named_directory_wins_over_the_variable_and_needs_no_build(tmp_path: Path, toy: Component) -> None:
    mine, other = _directory(tmp_path / "mine", "one", "deux"), _directory(tmp_path / "other", "one", "deux")
    assets = Assets.parse([f"toy={mine}"], {"GPUASSAY_ASSET_TOY": str(other)})
    got = programs("toy", assets)
    assert (got.source, got.version, got.path("one")) == ("assets directory", "unknown", mine / "one")
    assert len(got.sha256["one"]) == 64
    assert available("toy", assets) is None
    assert programs("toy", Assets({}, {"GPUASSAY_ASSET_TOY": str(other)})).path("one") == other / "one"


def test_a_variable_spells_the_component_in_capitals(tmp_path: Path) -> None:
    directory = _directory(tmp_path / "mine", "minimalkueue", "runner")
    got = programs("kueue-perf", Assets({}, {"GPUASSAY_ASSET_KUEUE_PERF": str(directory)}))
    assert got.path("runner") == directory / "runner"


def test_a_directory_without_the_binary_is_one_line_that_names_the_file(tmp_path: Path, toy: Component) -> None:
    directory = _directory(tmp_path / "mine", "one")
    with pytest.raises(ToolchainError, match=rf"^--asset toy: {directory}/deux is missing$"):
        programs("toy", Assets.parse([f"toy={directory}"]))
    with pytest.raises(ToolchainError, match=rf"^GPUASSAY_ASSET_TOY: {directory}/deux is missing$"):
        available("toy", Assets({}, {"GPUASSAY_ASSET_TOY": str(directory)}))


def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path, toy: Component) -> None:
    directory = _directory(tmp_path / "mine", "one", "deux")
    (directory / "deux").chmod(0o644)
    with pytest.raises(ToolchainError, match="deux cannot be executed"):
        programs("toy", Assets.parse([f"toy={directory}"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["kueue"], "takes NAME=DIR or NAME@VERSION, not 'kueue'"),
        (["=/tmp"], "takes NAME=DIR"),
        (["kueue="], "takes NAME=DIR"),
        (["kueu=/tmp"], "no component is called 'kueu'; there are kueue, .*controlplane"),
        (["kueue=/tmp", "kueue=/tmp"], "names kueue twice"),
        (["kueue=/no/such"], "--asset kueue: /no/such is not a directory"),
    ],
)
def test_bad_options_are_one_line(options: list[str], message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        Assets.parse(options, {})


def test_kubebuilder_assets_gives_envtests_programs(tmp_path: Path) -> None:
    directory = _directory(tmp_path / "envtest", *ENVTEST)
    assets = Assets({}, {"KUBEBUILDER_ASSETS": str(directory)})
    brought = assets.programs(catalogue.component("controlplane")) | assets.programs(catalogue.component("kubectl"))
    assert {name: at for name, (at, _) in brought.items()} == {name: directory / name for name in ENVTEST}
    assert assets.programs(catalogue.component("kueue")) == {}


def test_kubebuilder_assets_with_all_programs_needs_no_build(tmp_path: Path) -> None:
    directory = _directory(tmp_path / "envtest", *ALL, version="v1.35.1")
    got = programs("controlplane", Assets({}, {"KUBEBUILDER_ASSETS": str(directory)}))
    assert (got.version, got.source) == ("v1.35.1", "assets directory")


def test_kubebuilder_assets_without_a_binary_is_one_line(tmp_path: Path) -> None:
    directory = _directory(tmp_path / "envtest", "etcd", "kubectl")
    with pytest.raises(ToolchainError, match=rf"^KUBEBUILDER_ASSETS: {directory}/kube-apiserver is missing$"):
        programs("controlplane", Assets({}, {"KUBEBUILDER_ASSETS": str(directory)}))


def test_test_asset_variables_win_over_kubebuilder_assets(tmp_path: Path) -> None:
    base, own = _directory(tmp_path / "envtest", *ALL), _directory(tmp_path / "own", "my-etcd")
    environ = {"KUBEBUILDER_ASSETS": str(base), "TEST_ASSET_ETCD": str(own / "my-etcd")}
    got = programs("controlplane", Assets({}, environ))
    assert got.path("etcd") == own / "my-etcd"
    assert got.path("kube-apiserver") == base / "kube-apiserver"
    assert programs("kubectl", Assets({}, environ)).path("kubectl") == base / "kubectl"


def test_a_part_from_the_user_and_the_rest_from_a_build_are_both_told(
    tmp_path: Path, go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuassay.toolchain.assets.ENVTEST", {"one": "TEST_ASSET_ONE"})
    own = _directory(tmp_path / "own", "one")
    got = programs("toy", Assets({}, {"TEST_ASSET_ONE": str(own / "one")}), say=print)
    assert got.source == "assets directory (one), built from Go modules"
    assert got.path("one") == own / "one"
    assert got.path("deux").parent != own
    assert set(got.sha256) == {"one", "deux"}


def test_a_control_plane_of_two_releases_is_refused(
    tmp_path: Path, go: FakeGo, monkeypatch: pytest.MonkeyPatch, toy: Component
) -> None:
    packages = {"one": "example.test/toy/one", "two": "example.test/toy/two"}
    names = {"kube-apiserver": packages["one"], "kube-scheduler": packages["two"]}
    component = replace(toy, name="controlplane", packages=names)
    monkeypatch.setitem(catalogue.COMPONENTS, "controlplane", component)
    own = _directory(tmp_path / "own", "kube-apiserver", version="v1.1.0")
    with pytest.raises(
        ToolchainError, match=r"brings Kubernetes v1\.1\.0, but kube-scheduler would be v1\.2\.3: unset"
    ):
        programs("controlplane", Assets({}, {"TEST_ASSET_KUBE_APISERVER": str(own / "kube-apiserver")}), say=print)


def test_a_brought_directory_may_hold_the_files_of_a_module(tmp_path: Path, toy: Component) -> None:
    directory = _directory(tmp_path / "mine", "one", "deux")
    (directory / "modules" / "example.test" / "toy").mkdir(parents=True)
    got = module_dir("toy", "example.test/toy", Assets.parse([f"toy={directory}"]))
    assert got == directory / "modules" / "example.test" / "toy"


def test_a_version_takes_the_place_of_the_suites_own() -> None:
    assets = Assets.parse(["kueue@0.18.4"], {})
    assert assets.component("kueue").version == "v0.18.4"
    assert assets.component("kwok") is catalogue.component("kwok")
    assert Assets.parse(assets.words, {}) == assets


def test_the_suites_own_version_may_be_named() -> None:
    own = catalogue.component("kueue")
    assert Assets.parse([f"kueue@{own.version}"], {}).component("kueue") is own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["kueue@0.18.3"], r"kueue cannot be built at version 0.18.3: there are 0\.\d+\.\d+, .*0.18.4"),
        (["kueu@0.18.4"], "no component is called 'kueu'"),
        (["kueue@0.18.4", "kueue@0.17.1"], "names kueue twice"),
        (["kueue@0.18.4", "kueue=/tmp"], "names kueue twice"),
        (["kueue=/tmp", "kueue@0.18.4"], "names kueue twice"),
        (["kwok@9.9.9"], "kwok cannot be built at version 9.9.9: there are"),
    ],
)
def test_a_version_that_cannot_be_built_is_one_line(options: list[str], message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        Assets.parse(options, {})


def test_every_other_version_is_what_its_folder_says() -> None:
    others = {name: one for name, one in catalogue.COMPONENTS.items() if catalogue.AT in name}
    assert others
    for name, one in others.items():
        assert one.version == f"v{name.partition(catalogue.AT)[2]}"
        assert one.optional
        assert name not in catalogue.GROUPS["all"]


def test_an_upgrade_goes_from_the_older_to_the_newer() -> None:
    """Red when the suite's own version always comes last."""
    assets = Assets.parse([], {})
    older, own = assets.upgrade("nvidia-dra", "0.4.1")
    assert (older.versions, own.versions) == ({"nvidia-dra": "0.4.1"}, {})
    same, newer = assets.upgrade("controlplane", "1.37.1")
    assert (same.versions, newer.versions) == ({}, {"controlplane": "1.37.1"})
    with pytest.raises(ToolchainError, match=r"built at version 1\.38\.0: .*; nearest is 1\.37\.1"):
        assets.upgrade("controlplane", "1.38.0")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("0.18.3", "0.18.4"), ("0.20.0", "0.19.2"), ("0.16.9", "0.17.1"), ("0.19.9", "0.19.2"), ("main", None)],
)
def test_the_nearest_version_is_named(wanted: str, near: str | None) -> None:
    assert nearest(wanted, ["0.19.2", "0.17.1", "0.18.4"]) == near
