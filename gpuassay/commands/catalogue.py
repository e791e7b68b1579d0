"""`gpuassay catalogue`: the behaviours as a page, made from the tests that declare them."""

from __future__ import annotations

from collections import Counter

from gpuassay import resources
from gpuassay.commands import SubParsers, pages
from gpuassay.session.declared import everything

PAGE = resources.ROOT / "docs" / "catalogue.md"


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    pages.add(subparsers, "catalogue", "write docs/catalogue.md from the declared behaviours", PAGE, page)


def page() -> str:
    """The catalogue as Markdown."""
    declared = everything()
    counts = Counter(one.behaviour.id for one in declared)
    found = {one.behaviour.id: one for one in declared}  # the cases of one test are one entry
    lines = [
        "# Catalogue of behaviours",
        "",
        "Made by `python -m gpuassay catalogue` from the tests; do not edit.",
        "",
        f"{len(declared)} behaviours.",
    ]
    heading = ""
    for one in sorted(found.values(), key=lambda one: one.behaviour.id):
        behaviour, count = one.behaviour, counts[one.behaviour.id]
        title = one.title + (f" (known defect: {one.defect})" if one.defect else "")
        here = f"{behaviour.suite}: {behaviour.feature}"
        if here != heading:
            heading = here
            lines += [
                "",
                f"## {here}",
                "",
                "| behaviour | level | what holds | red when | mutant |",
                "| --- | --- | --- | --- | --- |",
            ]
        times = f" (x {count})" if count > 1 else ""
        spec = f"[{behaviour.level}]({behaviour.spec})" if behaviour.spec.startswith("http") else behaviour.level
        cells = [f"`{behaviour.id}`{times}", spec, title, behaviour.red_when, behaviour.mutant or "-"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
