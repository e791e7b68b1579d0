"""`gpuassay api`: the public names as a page, made from their docstrings."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpuassay
from gpuassay import resources
from gpuassay.commands import pages

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers

PAGE = resources.ROOT / "docs" / "api.md"


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    pages.add(subparsers, "api", "write docs/api.md from the docstrings of the public names", PAGE, page)


def page() -> str:
    """The public interface as Markdown, a section per name."""
    lines = [
        "# Public interface", "",
        "Made by `python -m gpuassay api` from the docstrings; do not edit.", "",
        f"{len(gpuassay.__all__)} names of `gpuassay`; everything else may change with any version. Suites use these",
        "and the public face of the system that they test (`gpuassay.systems.kueue`, ...).",
    ]  # fmt: skip
    for name in sorted(gpuassay.__all__, key=lambda one: (one.isupper(), one.lower())):
        lines += ["", f"## {name}", "", *section(name)]
    return "\n".join(lines) + "\n"


def section(name: str) -> list[str]:
    """Signature and docstring of a public name."""
    found = getattr(gpuassay, name)
    if inspect.ismodule(found):
        return [f"`gpuassay.{name}`", "", *_formatted(inspect.getdoc(found) or "")]
    signature = [f"    {name}{_signature(found)}", ""] if callable(found) and not name.isupper() else []
    own = _attribute_doc(name) or inspect.getdoc(found) or ""
    return [*signature, *_formatted(own)]


def _signature(found: Any) -> str:
    try:
        written = str(inspect.signature(found)).replace("gpuassay.", "")
    except (TypeError, ValueError):
        return ""
    if "*args" in written:
        return ""  # a protocol or an exception: nobody's to call
    written = re.sub(r"<function .*?>+( at 0x[0-9a-f]+>)?", "...", written)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", written)


def _attribute_doc(name: str) -> str:
    """The string below the assignment, of a constant or an alias; "" where it is a function or a class."""
    module = importlib.import_module(f"gpuassay.{gpuassay.place_of(name)}")
    body = ast.parse(Path(str(module.__file__)).read_text()).body
    for one, after in pairwise(body):
        targets: list[ast.expr] = one.targets if isinstance(one, ast.Assign) else []
        named = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        if name in named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return inspect.cleandoc(str(after.value.value))
    return ""


def _formatted(doc: str) -> list[str]:
    """Google style as Markdown: headings of sections in bold, examples as code."""
    lines: list[str] = []
    for line in doc.splitlines():
        head = line.strip()
        if head in ("Args:", "Attributes:", "Returns:", "Raises:", "Example:"):
            lines += [f"**{head[:-1]}**", ""]
        elif line.startswith("    ") and not line.startswith("        ") and ": " in line and not _code(lines):
            lines.append(f"- {line.strip()}")
        else:
            lines.append(line)
    return lines


def _code(lines: list[str]) -> bool:
    heads = [line for line in lines if line.startswith("**")]
    return not heads or heads[-1] == "**Example**"
