"""What can go wrong with a cluster; every message is fit to be shown as one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class ClusterError(Exception):
    """The cluster cannot be had, or does not do what it must; the message says what to do about it."""

    exit_code = 2
    """Of the command line: the user's to mend."""


class NotFromOutside(Exception):  # noqa: N818 - reads as what it is
    """Something that can be done or seen only where the system under test is ours: a typed skip, no error."""


class ComponentDied(ClusterError):  # noqa: N818 - reads as what it is
    """A program of the cluster ended although nobody stopped it.

    Attributes:
        component: its name, such as `kube-apiserver`.
        exit_code: its exit code; negative: the signal that ended it.
        lines: the last lines of its log.
    """

    def __init__(self, component: str, exit_code: int, lines: Sequence[str]) -> None:
        """Keep the parts; the message's first line says which program, the log follows."""
        end = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        super().__init__("\n".join([f"{component} died ({end}); its last lines:", *lines]))
        self.component, self.exit_code, self.lines = component, exit_code, list(lines)


class NotAnswered(ClusterError):  # noqa: N818 - reads as what it is
    """The API server gave no answer.

    Attributes:
        reason: why, without what was asked.
    """

    def __init__(self, asked: str, reason: str) -> None:
        """Keep the reason; the message says what was asked, too."""
        super().__init__(f"no answer from the API server to {asked}: {reason}")
        self.reason = reason


class ApiRefused(ClusterError):  # noqa: N818 - reads as what it is
    """The API server answered with an error.

    Attributes:
        status: HTTP status.
        reason: machine-readable reason of the `Status` object, such as `AlreadyExists`.
        message: the server's sentence; a webhook that refused is named in it.
        causes: `details.causes` of the `Status` object: field, reason and message of every complaint.
    """

    def __init__(self, status: int, reason: str, message: str, causes: Sequence[Mapping[str, Any]] = ()) -> None:
        """Keep the parts."""
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message, self.causes = status, reason, message, list(causes)

    @property
    def denied(self) -> str:
        """The right that the caller lacks, as kubectl writes it (`create jobs.batch`), where that is the reason; or "".

        By the sentence of the API server's authorizer (k8s.io/apiserver, responsewriters.forbiddenMessage); a webhook
        that refuses an object answers 403 as well, and says something else.
        """
        found = _DENIED.search(self.message) if self.status == 403 else None
        return f"{found[1]} {found[2]}{f'.{found[3]}' if found[3] else ''}" if found else ""


_DENIED = re.compile(r'User "[^"]*" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"')
