"""Access to an API server that may go away for a while: it is restarted, or the network is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuassay.cluster.api import TIMEOUT, Api
from gpuassay.cluster.errors import NotAnswered
from gpuassay.manifest import Manifest
from gpuassay.waiting import WaitTimeout, wait

SECONDS = 120.0
"""How long the API server may be away."""
DELAY = 1.0


class PatientApi(Api):
    """Asks again, for `seconds`, where there is no answer.

    Only for callers to whom a second sending does no harm: who creates has to take 409 for done, since the first may
    have arrived.
    """

    def __init__(self, api: Api, seconds: float = SECONDS) -> None:
        """By the connection of `api`, which stays its owner's to close."""
        super().__init__(api.connection)
        self._seconds = seconds

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        *,
        content_type: str | None = None,
        query: Mapping[str, object] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        again: bool = True,
    ) -> str:
        """As `Api.request`; where nobody answers for long, that is raised."""
        asked = super().request
        failed: list[NotAnswered] = []

        def answer() -> str | None:
            try:
                return asked(method, path, body, content_type=content_type, query=query, timeout=timeout, again=again)
            except NotAnswered as error:
                failed[:] = [error]
                return None

        if not again:
            return asked(method, path, body, content_type=content_type, query=query, timeout=timeout, again=False)
        try:
            found = wait(
                answer, lambda text: text is not None, what="the API server", timeout=self._seconds, delay=DELAY
            )
        except WaitTimeout:
            raise failed[0] from None
        return found or ""
