"""Admission checks, with the scenario as their controller: nothing starts before every check is ready."""

from __future__ import annotations

from gpuassay import MUST, Note, behaviour, dig, scenario
from gpuassay.manifest import condition, is_true
from gpuassay.systems.kueue.acts import admission_checks as checks
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import (
    ever_reserved,
    evictions,
    flips,
    node_selector,
    reserved_at,
    running,
    seen_at,
    workload_of,
)
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/admission_check/"
REJECTED = "DeactivatedDueToAdmissionCheck"
ZONE = {"gpuassay.io/rack": "r1"}


CHECKS = Note("checks", list[str], "names of both AdmissionChecks")
CHECK = Note("check", str, "name of the AdmissionCheck")


@scenario()
def two_checks(lab: KueueLab) -> None:
    """A job needs two admission checks; they become Ready one after the other, the second with podSetUpdates."""
    one, two = checks.check(lab, "budget"), checks.check(lab, "capacity")
    queue = lab.queue(gpus=1, checks=[one, two])
    lab.note(CHECKS, [one, two])
    lab.job("careful", queue)
    checks.observe_asked(lab, "careful", one, two)
    byhand.workload(lab, "behind", queue)
    byhand.observe_weighed(lab, "behind")
    lab.mark("first ready")
    checks.answer(lab, "careful", one, "Ready")
    # a marker: Kueue works on Workloads one version after the other, so it has seen the first answer by then
    lab.observe(lambda: checks.states(lab, "careful").get(one) == "Ready", "first answer is there")
    byhand.workload(lab, "marker", lab.queue(gpus=1, base="open", flavor=queue.flavor))
    lab.observe_admitted("marker")
    lab.mark("second ready")
    checks.answer(
        lab, "careful", two, "Ready", updates=[{"name": "main", "nodeSelector": ZONE, "annotations": {"rack": "r1"}}]
    )
    lab.observe_admitted("careful")
    lab.observe(lambda: running(lab.get("Job", "careful")), "careful runs")


@behaviour(
    "kueue.admission-checks.quota-first", level=MUST, spec=SPEC,
    red_when="a job starts while its checks are pending", mutant="checks-dropped",
)  # fmt: skip
def test_quota_is_reserved_before_the_checks(two_checks: KueueRecording) -> None:
    """A job with admission checks reserves quota, then stays suspended and unadmitted with each check Pending."""
    workload, at = workload_of(two_checks, "careful"), two_checks.mark("first ready")
    seen = seen_at(workload, at) if workload else None
    assert seen and is_true(seen, "QuotaReserved"), two_checks.timeline_text()
    listed = {one["name"]: one["state"] for one in dig(seen, "status", "admissionChecks", default=[])}
    expected = dict.fromkeys(two_checks.note(CHECKS), "Pending")
    assert listed == expected, f"expected {expected}, seen {listed}"
    assert not is_true(seen, "Admitted"), two_checks.timeline_text()
    assert not running(seen_at(two_checks.timelines("Job")["careful"], at)), two_checks.timeline_text()


@behaviour(
    "kueue.admission-checks.reservation-counts", level=MUST, spec=SPEC,
    red_when="quota reserved by a workload with pending checks is given to another workload as well",
    mutant="quota-doubled",
)  # fmt: skip
def test_reserved_quota_is_taken(two_checks: KueueRecording) -> None:
    """Quota that is reserved for a workload with pending checks is not given to another one."""
    got = ever_reserved(two_checks)
    careful = workload_of(two_checks, "careful")
    assert careful and careful.name in got and "behind" not in got, f"{sorted(got)}\n{two_checks.timeline_text()}"


@behaviour(
    "kueue.admission-checks.all-must-be-ready", level=MUST, spec=SPEC,
    red_when="a workload is admitted when only one of its two checks is Ready", mutant="checks-dropped",
)  # fmt: skip
def test_one_ready_check_is_not_enough(two_checks: KueueRecording) -> None:
    """A job with one of its two checks Ready stays suspended, while a later workload without checks is admitted."""
    marker = workload_of(two_checks, "marker")
    passed = seen_at(marker, two_checks.mark("second ready")) if marker else None
    assert passed and is_true(passed, "Admitted"), f"the marker was not admitted\n{two_checks.timeline_text()}"
    workload = workload_of(two_checks, "careful")
    seen = seen_at(workload, two_checks.mark("second ready")) if workload else None
    assert seen and not is_true(seen, "Admitted"), two_checks.timeline_text()
    assert not running(seen_at(two_checks.timelines("Job")["careful"], two_checks.mark("second ready")))


@behaviour(
    "kueue.admission-checks.ready-admits", level=MUST, spec=SPEC,
    red_when="a workload whose checks are all Ready is not admitted", mutant="check-ready-lost",
)  # fmt: skip
def test_ready_checks_admit(two_checks: KueueRecording) -> None:
    """Once every check is Ready the workload is admitted and its job runs."""
    workload, job = workload_of(two_checks, "careful"), two_checks.timelines("Job")["careful"]
    admitted = flips(workload, "Admitted") if workload else []
    assert len(admitted) == 1 and running(job.final), two_checks.timeline_text()
    assert admitted[0].at > two_checks.mark("second ready"), two_checks.timeline_text()


@behaviour(
    "kueue.admission-checks.pod-set-updates", level=MUST, spec=f"{SPEC}#admissioncheckstates",
    red_when="the podSetUpdates of an admission check do not reach the job's pod template",
    mutant="pod-set-updates-lost",
)  # fmt: skip
def test_a_check_adds_to_the_pods(two_checks: KueueRecording) -> None:
    """The node selector and the annotations that a check asks for are in the job's pod template while it runs."""
    job = two_checks.timelines("Job")["careful"].final
    notes = dig(job, "spec", "template", "metadata", "annotations", default={})
    assert node_selector(job) == ZONE and notes.get("rack") == "r1", f"selector {node_selector(job)}, notes {notes}"


@scenario()
def retried(lab: KueueLab) -> None:
    """A check asks for a retry, twice: before the job runs and while it runs."""
    check = checks.check(lab, "moody")
    queue = lab.queue(gpus=1, checks=[check])
    lab.note(CHECK, check)
    lab.job("steady", queue)
    checks.observe_asked(lab, "steady", check)
    lab.mark("retry waiting")
    checks.answer(lab, "steady", check, "Retry")
    # A check's controller may only answer again once the eviction is over: Kueue takes an earlier answer as good.
    lab.observe(lambda: _lost_quota(lab) == 1, "evicted once")
    checks.observe_asked(lab, "steady", check)
    checks.answer(lab, "steady", check, "Ready")
    lab.observe_admitted("steady")
    lab.observe(lambda: running(lab.get("Job", "steady")), "steady runs")
    lab.mark("retry running")
    checks.answer(lab, "steady", check, "Retry")
    lab.observe(lambda: not running(lab.get("Job", "steady")), "steady is stopped")
    lab.observe(lambda: _lost_quota(lab) == 2, "evicted twice")
    checks.observe_asked(lab, "steady", check)


def _lost_quota(lab: KueueLab) -> int:
    """How often the job was evicted; 0 while an eviction is under way."""
    found = lab.workload_of("steady")
    stats = dig(found, "status", "schedulingStats", "evictions", default=[])
    told = condition(found, "Evicted") if found else None
    over = told is not None and told["status"] == "False"
    return sum(int(one["count"]) for one in stats) if over else 0


@behaviour(
    "kueue.admission-checks.retry-requeues", level=MUST, spec=SPEC,
    red_when="a workload whose check asks for a retry keeps its quota or is not requeued", mutant="check-retry-lost",
)  # fmt: skip
def test_retry_gives_the_quota_back_and_requeues(retried: KueueRecording) -> None:
    """On a check's Retry, the workload is evicted as AdmissionCheck, loses its quota and later reserves it again."""
    workload = workload_of(retried, "steady")
    assert workload and evictions(workload)[:1] == ["AdmissionCheck"], retried.timeline_text()
    waiting, running_at = retried.mark("retry waiting"), retried.mark("retry running")
    lost = [one.at for one in flips(workload, "QuotaReserved", "False") if waiting < one.at < running_at]
    again = [one.at for one in flips(workload, "QuotaReserved") if waiting < one.at < running_at]
    assert len(lost) == 1 and len(again) == 1 and lost[0] < again[0], retried.timeline_text()


@behaviour(
    "kueue.admission-checks.retry-resets", level=MUST, spec=SPEC,
    red_when="a workload reserves quota again with its check's answer from the previous attempt",
    mutant="check-retry-lost",
)  # fmt: skip
def test_checks_start_over_after_a_retry(retried: KueueRecording) -> None:
    """After a Retry, the check's state is back to Pending when the workload reserves quota again."""
    workload = workload_of(retried, "steady")
    versions = reserved_at(retried, "steady")
    assert workload and len(versions) == 3, f"got quota at versions {versions}\n{retried.timeline_text()}"
    for version in versions[1:]:
        seen = next(one.object for one in workload.events if one.rv == version)
        states = [one["state"] for one in dig(seen, "status", "admissionChecks", default=[])]
        assert states == ["Pending"], f"got quota with checks {states}\n{retried.timeline_text()}"


@behaviour(
    "kueue.admission-checks.retry-stops-running", level=MUST, spec=SPEC,
    red_when="a job keeps running after its check went from Ready to Retry", mutant="check-retry-lost",
)  # fmt: skip
def test_retry_after_admission_stops_the_job(retried: KueueRecording) -> None:
    """When a check goes from Ready to Retry, the running job is evicted, suspended and waits for the check again."""
    workload, job = workload_of(retried, "steady"), retried.timelines("Job")["steady"]
    assert workload and evictions(workload) == ["AdmissionCheck"] * 2, retried.timeline_text()
    before = seen_at(job, retried.mark("retry running"))
    assert running(before) and not running(job.final), retried.timeline_text()
    assert is_true(workload.final, "QuotaReserved") and not is_true(workload.final, "Admitted")


@scenario()
def rejected(lab: KueueLab) -> None:
    """A check rejects one waiting job and one running job, then a third workload is created."""
    check = checks.check(lab, "strict")
    queue = lab.queue(gpus=2, checks=[check])
    lab.jobs(["waits", "runs"], queue)
    checks.observe_asked(lab, "waits", check)
    checks.observe_asked(lab, "runs", check)
    checks.answer(lab, "runs", check, "Ready")
    lab.observe(lambda: running(lab.get("Job", "runs")), "runs runs")
    lab.mark("rejected")
    for name in ("waits", "runs"):
        checks.answer(lab, name, check, "Rejected")

    def out() -> bool:
        return not lab.has("QuotaReserved", "waits") and not lab.has("QuotaReserved", "runs")

    lab.observe(out, "both out")
    byhand.workload(lab, "third", queue)
    checks.observe_asked(lab, "third", check)


@behaviour(
    "kueue.admission-checks.rejected-deactivates", level=MUST, spec=SPEC,
    red_when="a workload that a check has rejected is tried again or keeps its quota", mutant="check-rejection-lost",
)  # fmt: skip
def test_rejection_deactivates(rejected: KueueRecording) -> None:
    """A workload rejected by a check is deactivated and loses its quota for good, and another workload gets quota."""
    workload = workload_of(rejected, "waits")
    assert workload and dig(workload.final, "spec", "active") is False, rejected.timeline_text()
    assert not is_true(workload.final, "QuotaReserved") and len(reserved_at(rejected, "waits")) == 1
    assert evictions(workload) == [REJECTED], f"{evictions(workload)}\n{rejected.timeline_text()}"
    assert "third" in ever_reserved(rejected), f"the quota is not free\n{rejected.timeline_text()}"


@behaviour(
    "kueue.admission-checks.rejected-stops-running", level=MUST, spec=SPEC,
    red_when="a running job survives the rejection by its check", mutant="check-rejection-lost",
)  # fmt: skip
def test_rejection_stops_a_running_job(rejected: KueueRecording) -> None:
    """A running job whose check turns to Rejected is evicted, suspended and deactivated."""
    workload, job = workload_of(rejected, "runs"), rejected.timelines("Job")["runs"]
    assert running(seen_at(job, rejected.mark("rejected"))), rejected.timeline_text()
    assert workload and dig(workload.final, "spec", "active") is False, rejected.timeline_text()
    assert not running(job.final) and evictions(workload) == [REJECTED], rejected.timeline_text()
