"""Programs that are partly C, and sources of our own beside a go.mod."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuassay.toolchain import UnobtainableError, cache, golang, programs
from gpuassay.toolchain.catalogue import COMPONENTS, Component
from tests.toolchain.fake import FakeGo


def test_cgo_is_on_only_for_components_that_need_it() -> None:
    """Red if a C part is left out silently, or plain programs come to depend on a C library."""
    assert golang.environment()["CGO_ENABLED"] == "0"
    assert golang.environment(cgo=True)["CGO_ENABLED"] == "1"


def test_a_partly_c_component_without_a_compiler_says_what_to_install(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if the lack of cc shows as a compiler's complaint after minutes."""
    monkeypatch.setitem(COMPONENTS, "toy", replace(toy, cgo=True))
    monkeypatch.setattr("gpuassay.toolchain.build.shutil.which", lambda name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(UnobtainableError, match=r"toy is partly C and there is no cc: install a C compiler"):
        programs("toy")
    assert go.builds == 0


def test_cgo_and_further_linker_arguments_make_another_entry(toy: Component) -> None:
    """Red if a program built without its C part is taken from the cache for one with it."""
    keys = {cache.inputs(one, "go1.26.6").key for one in (toy, replace(toy, cgo=True), replace(toy, link=("-x",)))}
    assert len(keys) == 3
    assert "-s -w -x " in replace(toy, link=("-x",)).flags()[-1]


def test_a_changed_stub_beside_go_mod_makes_another_entry(toy: Component) -> None:
    """Red if a program is taken from the cache although a replacement of ours has changed."""
    before = cache.inputs(toy, "go1.26.6").key
    (toy.directory / "stub").mkdir()
    (toy.directory / "stub" / "stub.go").write_text("package stub\n")
    assert cache.inputs(toy, "go1.26.6").key != before


def test_the_dra_driver_says_what_is_replaced_in_it() -> None:
    """Red if go.mod replaces something that reports do not name."""
    component = COMPONENTS["nvidia-dra"]
    replaced = [line.split()[1] for line in (component.directory / "go.mod").read_text().splitlines() if " => " in line]
    assert sorted(replaced) == ["github.com/NVIDIA/go-nvfm", "k8s.io/kubernetes"]
    assert all(module in component.altered for module in replaced)
    assert "driver logic unmodified, two dependencies replaced" in component.altered
    unmarked = [
        one.name
        for one in COMPONENTS.values()
        if one.name.startswith(("nvidia", "dra"))
        and not one.altered
        and " => " in (one.directory / "go.mod").read_text()
    ]
    assert not unmarked
