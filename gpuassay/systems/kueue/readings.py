"""What a recording of Kueue tells besides objects: Workloads, and the scheduler's decisions from Kueue's log."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.parts import METRICS, Part
from gpuassay.record.recording import Event, Recording
from gpuassay.record.recording import Timeline as Timeline
from gpuassay.systems.kueue import log as kueuelog
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.log import Admission, Cycle

LOG = Part("logs/kueue.jsonl", "a line of Kueue's log that concerns the scenario")
END = "end"
"""Label under which Kueue's series about a scenario are sampled once the scenario has come to rest."""
RESTARTED = "restarted"
"""Likewise, once Kueue was restarted after that."""
JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"


class KueueRecording(Recording):
    """What happened in one scenario of Kueue."""

    PARTS: ClassVar[Mapping[str, Part]] = {"log": LOG}

    @cached_property
    def events(self) -> list[Event]:
        """Watch events of all kinds in receipt order, of the scenario itself: not of a restart after its end."""
        return [event for event in super().events if self._before_restart(event.at)]

    @cached_property
    def with_restart(self) -> KueueRecording:
        """The recording with what a restart of Kueue after the scenario's end brought, if there was one."""
        return _WithRestart(self.meta, self._lines)

    def _before_restart(self, at: int) -> bool:
        restarted = self.note(notes.RESTARTED)
        return not restarted or at < restarted

    def workloads(self) -> list[Manifest]:
        """Every Workload as last seen (deleted ones too), in order of first sight."""
        return [one.final for one in self.timelines("Workload").values()]

    def workload_of(self, job_name: str) -> Timeline:
        """The Workload of a job (Job, pod, pod group owner): by owner reference, else by Kueue's job-uid label.

        If the job had several, the last one.

        Raises:
            LookupError: there is none.
        """
        histories = list(self.timelines("Workload").values())
        owned = [one for one in histories if any(job_name in _owners(event.object) for event in one.events)]
        if not owned:
            uids = {event.uid for event in self.events if event.name == job_name and event.kind != "Workload"}
            owned = [one for one in histories if dig(one.final, "metadata", "labels", JOB_UID_LABEL) in uids]
        if not owned:
            names = ", ".join(self.timelines("Workload")) or "none"
            raise LookupError(f"{self.name}: no Workload of {job_name!r} was recorded (Workloads: {names})")
        return owned[-1]

    @cached_property
    def kueue_log(self) -> list[Manifest]:
        """Kueue's log lines that concern the scenario, not a restart after its end."""
        return [line for line in self.rows(LOG) if self._before_restart(kueuelog.log_time(line) or 0)]

    def samples(self) -> list[Manifest]:
        """Every sample of metrics."""
        return self.rows(METRICS)

    def admissions(self) -> list[Admission]:
        """Quota reservations in the order of Kueue's decisions.

        From Kueue's log; where there is no log, in the order in which the watch showed QuotaReserved becoming true.
        """
        if self.kueue_log:
            return kueuelog.admissions(self.kueue_log)
        found: list[Admission] = []
        held: set[str] = set()
        for event in self.of("Workload"):
            reserved = is_true(event.object, "QuotaReserved")
            if reserved and event.uid not in held:
                queue = str(dig(event.object, "status", "admission", "clusterQueue", default=""))
                found.append(Admission(event.at, None, event.name, event.namespace, queue))
            (held.add if reserved else held.discard)(event.uid)
        return found

    def cycles(self) -> list[Cycle]:
        """Scheduling cycles with their exact duration, from Kueue's log."""
        return kueuelog.cycles(self.kueue_log)


class _WithRestart(KueueRecording):
    """The scenario and the restart after it."""

    def _before_restart(self, at: int) -> bool:
        del at
        return True


def _owners(workload: Manifest) -> set[str]:
    return {str(one.get("name", "")) for one in dig(workload, "metadata", "ownerReferences", default=[])}
