"""Reads go.mod files: the only place where versions of upstream programs are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gpuassay.toolchain.errors import ToolchainError

_BLOCK = re.compile(r"^(\w+)\s*\((.*?)^\)", re.MULTILINE | re.DOTALL)
_SINGLE = re.compile(r"^(require|tool|go)[ \t]+([^(\n]+)$", re.MULTILINE)


@dataclass(frozen=True)
class GoMod:
    """What this project needs of a go.mod file (grammar: Go Modules Reference).

    Attributes:
        go: the language version of the `go` line, such as `1.26.0`.
        require: module path to version, indirect ones too.
        tools: package paths of the `tool` lines.
    """

    go: str
    require: dict[str, str]
    tools: tuple[str, ...]

    def version(self, module: str) -> str:
        """The required version of `module`, such as `v0.19.2`.

        Raises:
            ToolchainError: the file does not require it.
        """
        try:
            return self.require[module]
        except KeyError:
            raise ToolchainError(f"go.mod does not require {module}") from None


def parse(text: str) -> GoMod:
    """Parse the text of a go.mod file; directives other than go, require and tool are passed over."""
    plain = re.sub(r"[ \t]*//.*", "", text)
    entries: list[tuple[str, str]] = []
    for keyword, body in _BLOCK.findall(plain):
        entries += [(keyword, line.strip()) for line in body.splitlines() if line.strip()]
    entries += [(keyword, rest.strip()) for keyword, rest in _SINGLE.findall(_BLOCK.sub("", plain))]
    require = dict(rest.split()[:2] for keyword, rest in entries if keyword == "require")
    return GoMod(
        go=next((rest for keyword, rest in entries if keyword == "go"), "1.0"),
        require=require,
        tools=tuple(rest for keyword, rest in entries if keyword == "tool"),
    )


def read(directory: Path) -> GoMod:
    """Parse `directory/go.mod`.

    Raises:
        ToolchainError: there is no such file.
    """
    try:
        return parse((directory / "go.mod").read_text())
    except FileNotFoundError:
        raise ToolchainError(
            f"{directory / 'go.mod'} is missing: the checkout or the installation is incomplete"
        ) from None
