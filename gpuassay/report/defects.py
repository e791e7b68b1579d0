"""Known defects, folded by component and upstream issue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict

KNOWN = (State.KNOWN_DEFECT, State.KNOWN_DEFECT_RECORDED)
"""States of a known defect."""


@dataclass
class Issue:
    """An upstream issue, or the line of source that is at fault, and the behaviours that fail by it.

    Attributes:
        link: where it is told; "" where no link was given.
        what: the defect in a sentence.
        verdicts: behaviours that fail as it says.
    """

    link: str
    what: str
    verdicts: list[Verdict] = field(default_factory=list[Verdict])

    @property
    def label(self) -> str:
        """The link in words: `issue 14160`, `pull request 1597`, `server.go`."""
        parts = urlsplit(self.link).path.strip("/").split("/")
        if len(parts) >= 4 and parts[2] in ("issues", "pull"):
            return f"{'issue' if parts[2] == 'issues' else 'pull request'} {parts[3]}"
        return one_line(parts[-1], 60) or "no link"


@dataclass
class Component:
    """An upstream project and its defects that were seen.

    Attributes:
        name: `owner/name` of its repository.
        issues: the defects, that of most behaviours first.
    """

    name: str
    issues: list[Issue] = field(default_factory=list[Issue])

    @property
    def count(self) -> int:
        """Behaviours that fail by a known defect of it."""
        return sum(len(one.verdicts) for one in self.issues)


def by_component(verdicts: Iterable[Verdict]) -> list[Component]:
    """Known defects by the project that has them, that with most behaviours first."""
    issues: dict[tuple[str, str], Issue] = {}
    for verdict in verdicts:
        if State(verdict.state) in KNOWN:
            link = verdict.link or ""
            what = one_line(verdict.reason.replace(f" ({link})", "") if link else verdict.reason, 300)
            issues.setdefault((link, what), Issue(link, what)).verdicts.append(verdict)
    components: dict[str, Component] = {}
    for issue in issues.values():
        name = _project(issue.link)
        components.setdefault(name, Component(name)).issues.append(issue)
    for one in components.values():
        one.issues.sort(key=lambda issue: (-len(issue.verdicts), issue.link))
    return sorted(components.values(), key=lambda one: (-one.count, one.name))


def _project(link: str) -> str:
    parts = urlsplit(link)
    owner = parts.path.strip("/").split("/")[:2]
    return "/".join(owner) if parts.netloc == "github.com" and len(owner) == 2 else parts.netloc or "without a link"
