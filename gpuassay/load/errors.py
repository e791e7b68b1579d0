"""What can go wrong with a load run as a whole; a request that fails is a row, not an error."""

from __future__ import annotations


class LoadError(Exception):
    """The load could not be put on the server: one line that says what is wrong and what to do."""

    exit_code = 2
    """Of the command line: the user's to mend."""


class CountsDoNotClose(LoadError):  # noqa: N818 - reads as what it is
    """The engine lost or invented a request: an error of ours, nothing of it may be judged."""

    exit_code = 3
