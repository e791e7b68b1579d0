from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.toolchain import ToolchainError, catalogue, gomod
from tests.toolchain import fake


def test_go_mod_blocks_and_single_lines_are_read_and_comments_are_not() -> None:
    parsed = gomod.parse(fake.GO_MOD + "require (\n\ta.b/c v0.1.0 // indirect\n)\nreplace a => b v1\ntool x.y/z\n")
    assert parsed.go == "1.26.0"
    assert parsed.require == {"a.b/c": "v0.1.0", "example.test/toy": "v1.2.3"}
    assert set(parsed.tools) == {"example.test/toy/one", "example.test/toy/cmd/two/v3", "x.y/z"}


def test_a_module_that_go_mod_does_not_require_is_named() -> None:
    with pytest.raises(ToolchainError, match=r"does not require no\.such/module"):
        gomod.parse(fake.GO_MOD).version("no.such/module")


def test_a_missing_go_mod_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"go\.mod is missing"):
        gomod.read(tmp_path)


@pytest.mark.parametrize("name", catalogue.COMPONENTS)
def test_every_program_is_a_tool_of_its_module_with_committed_sums(name: str) -> None:
    component = catalogue.component(name)
    ours = "gpuassay.dev/toolchain/"  # packages of the module itself
    upstreams = {package for package in component.packages.values() if not package.startswith(ours)}
    assert upstreams <= set(gomod.read(component.directory).tools)
    if component.own:
        return  # nothing is downloaded
    sums = (component.directory / "go.sum").read_text()
    assert f"{component.module} {component.version} h1:" in sums


def test_versions_are_stamped_from_go_mod() -> None:
    component = catalogue.component("controlplane")
    major, minor, _ = component.version.removeprefix("v").split(".")
    link = component.flags()[-1]
    assert f"version.gitVersion={component.version} " in link
    assert f"gitMajor={major} " in link
    assert f"gitMinor={minor} " in link


def test_the_kubelet_is_of_the_control_planes_release() -> None:
    assert catalogue.component("kubelet").version == catalogue.component("controlplane").version


STAY = {
    # required in this version by the program itself, or lower in Kueue for what it takes from Kubernetes' own module
    "kubernetes": {"k8s.io/kubernetes", "k8s.io/cloud-provider", "k8s.io/controller-manager"},
    "helm": {"go.opentelemetry.io/proto/otlp"},
    "kwok": {"go.opentelemetry.io/otel/sdk"},
    "llmd-sim": {
        "github.com/grpc-ecosystem/grpc-gateway/v2",
        "go.opentelemetry.io/otel/exporters/otlp/otlptrace",
        "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc",
        "go.opentelemetry.io/otel/sdk",
        "go.opentelemetry.io/proto/otlp",
    },
}
"""Modules of programs that follow Kueue in which they differ from it, by directory."""


@pytest.mark.parametrize("name", [one.name for one in catalogue.COMPONENTS.values() if one.follows])
def test_what_is_not_under_test_takes_the_versions_of_the_component_it_follows(name: str) -> None:
    """Red if one of two go.mod files is raised alone: a first run would compile a thousand packages twice."""
    component = catalogue.component(name)
    theirs = gomod.read(catalogue.component(component.follows).directory).require
    differing = {
        module
        for module, version in gomod.read(component.directory).require.items()
        if version != theirs.get(module, version)
    }
    assert differing == STAY.get(component.directory.name, set()), "scripts/align-modules puts this right"
    assert "dependencies raised to Kueue's versions" in component.altered


def test_what_is_under_test_keeps_upstreams_versions() -> None:
    """Red if a program that is judged is built from other dependencies than upstream's, and no report says so."""
    judged = ("kueue", "llmd-epp", "gaie-epp", "lwepp", "pd-sidecar", "istio", "containerd", "runc")
    assert not [name for name in judged if catalogue.component(name).follows or catalogue.component(name).altered]


def test_a_program_of_ours_has_another_version_when_its_source_changes(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main\n")
    component = replace(catalogue.component("workload"), directory=tmp_path)
    before = component.version
    (tmp_path / "main.go").write_text("package main // changed\n")
    assert component.version != before


def test_a_binary_is_called_as_go_calls_it(tmp_path: Path) -> None:
    assert catalogue.component("controlplane").binary("etcd") == "controlplane"
    assert catalogue.component("kueue").binary("kueue") == "kueue"
    assert fake.component(tmp_path).binary("deux") == "two"


def test_no_version_of_an_upstream_program_is_written_outside_go_mod() -> None:
    package = Path(catalogue.__file__).parents[1]
    versions = {component.version for component in catalogue.COMPONENTS.values()}
    sources = {path: path.read_text() for path in package.rglob("*.py")}
    assert sources
    found = [(path.name, version) for path, text in sources.items() for version in versions if f'"{version}"' in text]
    assert not found


def test_an_unknown_component_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        ToolchainError, match=r"no component is called 'kueu'; there are kueue, .*controlplane, kustomize, kwok"
    ):
        catalogue.component("kueu")


def test_a_group_stands_for_its_components_and_an_unknown_name_is_told_with_those_there_are() -> None:
    """Red when a group misses one, names one twice, or a misspelt name builds something."""
    assert catalogue.selected([]) == catalogue.required()
    assert catalogue.selected(["slices", "runc"]) == list(catalogue.GROUPS["slices"])
    assert set(catalogue.selected(["all"])) == {name for name in catalogue.COMPONENTS if catalogue.AT not in name}
    with pytest.raises(ToolchainError, match=r"no component is called 'slice'.*group slices"):
        catalogue.selected(["slice"])
