"""What is said of a file that is no JUnit XML."""

from __future__ import annotations


class JUnitError(Exception):
    """A file is no JUnit XML, or tells nothing; the message is one line."""

    exit_code = 2
