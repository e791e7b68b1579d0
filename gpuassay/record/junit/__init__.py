"""Reads JUnit XML of any suite: its cases, by its own names and in its own judgement.

There is no standard; this is what Surefire, pytest, Ginkgo, gotestsum, GoogleTest, PHPUnit and many others write.
Libraries that read JUnit XML know elements and not what frameworks mean by attributes, counts and properties: with them
a suite that failed as a whole reads as passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpuassay.record.junit import foreign, sources, xml
from gpuassay.record.junit.cases import Judged, judge
from gpuassay.record.junit.errors import JUnitError
from gpuassay.record.junit.names import Called, distinct
from gpuassay.record.junit.numbers import seconds
from gpuassay.record.junit.sources import Part
from gpuassay.record.junit.suites import SUITES, Finding, findings
from gpuassay.record.junit.xml import Node
from gpuassay.record.upstream import Case, Outcome

__all__ = ["Import", "JUnitError", "read", "read_source"]


@dataclass(frozen=True)
class Import:
    """What a source told.

    Attributes:
        name: of the file, folder or pipe, for people.
        digest: SHA-256 of its bytes.
        cases: in its order, no two of one name.
        left: files in a folder or an archive that are XML and no JUnit XML.
    """

    name: str
    digest: str
    cases: tuple[Case, ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Told:
    called: Called
    outcome: Outcome
    message: str
    seconds: float | None = None
    counted: bool = False


def read(file: Path) -> list[Case]:
    """The cases of a file, in its order; those of a folder or an archive file by file.

    A suite that says of itself what its cases do not say gets a case for that: of the outcome ERROR where it counts
    more tests, failures or skips than it tells of, or says that it failed and no case does.

    Raises:
        JUnitError: it cannot be read, is no JUnit XML, or has no case.
    """
    return list(read_source(file).cases)


def read_source(path: Path) -> Import:
    """The cases of `path` with what is known of the source; as `read`.

    Raises:
        JUnitError: as `read`.
    """
    source = sources.read(path)
    told: list[_Told] = []
    left: dict[str, str] = {}
    for part in source.parts:
        where = f"{part.name} in {path}" if part.name else str(path)
        documents = xml.parse(part.data, where)
        strange = next((one.tag for one in documents if one.tag not in SUITES), None)
        if strange is None:
            told += [one for document in documents for one in _of_document(document, part)]
        elif part.name and len(documents) == 1:
            left[part.name] = foreign.root(strange)  # folders and archives hold other files too
        else:
            raise JUnitError(f"{where} is {foreign.root(strange)}")
    told += [_Told(Called(f"plugin {name}"), Outcome.ERROR, words) for name, words in source.problems]
    if not told and len(left) == len(source.parts):
        name, what = next(iter(left.items()))
        raise JUnitError(f"{path} has no JUnit XML in it: {name} is {what}")
    if all(one.counted for one in told):
        counts = f" ({told[0].called.name}: {told[0].message})" if told else ""
        raise JUnitError(f"{path} has no test case: whatever wrote it has run nothing{counts}")
    names = distinct([one.called for one in told])
    cases = [Case(name, one.outcome, one.message, one.seconds) for name, one in zip(names, told, strict=True)]
    return Import(source.name, source.digest, tuple(cases), tuple(left))


def _of_document(root: Node, part: Part) -> Iterator[_Told]:
    judged: dict[int, Judged] = {}
    for case, suites in _cases(root, ()):
        one = judged[id(case)] = judge(case)
        yield _Told(_called(case, suites, part), one.outcome, one.message, seconds(case.get("time")))
    for finding in findings(root, judged):
        yield _of_suite(finding, part)


def _cases(node: Node, suites: tuple[Node, ...]) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """All cases below `node`, each with the suites that it belongs to, the closest first."""
    inner = (node, *suites) if node.tag in SUITES else suites
    for child in node.children:
        if child.tag == "testcase":
            yield child, inner
        yield from _cases(child, inner)


def _called(case: Node, suites: tuple[Node, ...], part: Part) -> Called:
    owner = case.get("classname") or case.get("class")
    file = case.get("file") or next((one.get("file") for one in suites if one.get("file")), "")
    package = next((one.get("package") for one in suites if one.get("package")), "")
    name = case.get("name").strip() or owner or "a case without a name"
    return Called(name, (owner, package, file, *(one.get("name") for one in suites), part.name))


def _of_suite(finding: Finding, part: Part) -> _Told:
    called = Called(f"{finding.suite}: {finding.what}", ("", finding.package, "", part.name))
    return _Told(called, finding.outcome, finding.message, counted=finding.counted)
