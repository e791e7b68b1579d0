"""`junit.xml` of a run that is not finished; of a finished one pytest writes it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from gpuassay.refutation import sentence_of
from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict

ELEMENT = {
    State.FAIL: "failure",
    State.ERROR: "error",
    State.SKIP: "skipped",
    State.KNOWN_DEFECT: "skipped",
    State.INCONCLUSIVE: "skipped",
    State.PASS_RECORDED: "skipped",
    State.FAIL_RECORDED: "failure",
    State.KNOWN_DEFECT_RECORDED: "skipped",
}
"""What a case holds unless it passed; as pytest writes them, known defects and inconclusive ones are skipped."""


def junit(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as JUnit XML, test for test as pytest names them."""
    kinds = [ELEMENT.get(State(one.state), "") for one in verdicts]
    counts = {f"{kind}s".replace("skippeds", "skipped"): str(kinds.count(kind)) for kind in set(ELEMENT.values())}
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gpuassay", "tests": str(len(verdicts)), **counts})
    for one, kind in zip(verdicts, kinds, strict=True):
        file, _, name = one.test.partition("::")
        labels = {"classname": file.removesuffix(".py").replace("/", "."), "name": name}
        case = ElementTree.SubElement(suite, "testcase", labels)
        if kind:
            told = sentence_of(one.reason)
            reason = told if one.state in (State.FAIL, State.ERROR) else f"{one.state}: {told}"
            ElementTree.SubElement(case, kind, {"message": one_line(reason, 1000)})
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
