"""Starts and stops the recorder process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from pathlib import Path

from gpuassay.access.kubeconfig import absolute
from gpuassay.record.live import LiveView
from gpuassay.record.resources import DEFAULT_RESOURCES, RecorderConfig, RecorderError, Resource, check_unique
from gpuassay.waiting import WaitTimeout

STOP_SECONDS = 5.0
LOG_NAME = "recorder.log"
SYNC_SECONDS = 60.0
"""How long the first lists may take, s: one of a large cluster is read in pages."""


class RecorderProcess:
    """A running recorder and its files.

    Attributes:
        spool: folder of the spool files.
        process: the child; its standard output carries the wake-ups.
    """

    def __init__(self, spool: Path, process: subprocess.Popen[bytes]) -> None:
        """Wrap a started process."""
        self.spool, self.process = spool, process

    def stop(self) -> None:
        """End the process: close its input, then kill it if that does not do. Idempotent."""
        if self.process.stdin and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_recorder(
    kubeconfig: Path | str,
    spool: Path,
    *,
    resources: Iterable[Resource] = DEFAULT_RESOURCES,
    context: str | None = None,
    label_selector: str = "",
) -> RecorderProcess:
    """Start a recorder process that spools into `spool` (created; must hold no earlier spool).

    Raises:
        RecorderError: two resources share a kind.
    """
    spool.mkdir(parents=True, exist_ok=True)
    chosen = tuple(resources)
    check_unique(chosen)
    config = spool / "recorder.json"
    RecorderConfig(
        kubeconfig=str(absolute(kubeconfig)),
        spool=str(spool.absolute()),
        resources=chosen,
        context=context,
        label_selector=label_selector,
        # The kernel sends the signal when the starting *thread* ends, so only the main thread may ask for it; the
        # closed input ends the process in every case.
        death_signal=threading.current_thread() is threading.main_thread(),
    ).write(config)
    with (spool / LOG_NAME).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gpuassay.record.recorder", "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    return RecorderProcess(spool, process)


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """How a recorder ended whose output has ended: it has closed it an instant before it is gone."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(STOP_SECONDS)
    return None


@contextlib.contextmanager
def live_recorder(
    kubeconfig: Path | str,
    spool: Path,
    *,
    resources: Iterable[Resource] = DEFAULT_RESOURCES,
    context: str | None = None,
    label_selector: str = "",
    sync_seconds: float = SYNC_SECONDS,
) -> Generator[LiveView]:
    """A live view on a cluster, backed by its own recorder process; both end with the block.

    It begins when everything that must be there has been listed once.

    Raises:
        RecorderError: the recorder cannot list it, within `sync_seconds`; one line says why.
    """
    chosen = tuple(resources)
    recorder = start_recorder(kubeconfig, spool, resources=chosen, context=context, label_selector=label_selector)
    assert recorder.process.stdout is not None
    view = LiveView(recorder.spool, recorder.process.stdout, lambda: _exit_code(recorder.process))
    try:
        _first_sync(view, spool, chosen, sync_seconds)
        yield view
    finally:
        recorder.stop()
        view.close()


def _first_sync(view: LiveView, spool: Path, resources: Iterable[Resource], seconds: float) -> None:
    """Wait for the first list of everything that must be there: a view without it would call every object absent."""
    needed = [one.kind for one in resources if not one.optional]
    try:
        view.wait(lambda seen: seen.synced(needed), what="the recorder's first lists", timeout=seconds)
    except WaitTimeout:
        late = ", ".join(kind for kind in needed if not view.synced([kind]))
        log = spool / LOG_NAME
        words = log.read_text(errors="replace").splitlines() if log.exists() else []
        raise RecorderError(
            f"the recorder could not list {late} within {seconds:g} s: {words[-1] if words else 'no answer yet'}"
        ) from None
