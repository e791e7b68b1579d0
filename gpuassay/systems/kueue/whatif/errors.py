"""What is wrong with a user's files, in one line."""

from __future__ import annotations


class WhatIfError(Exception):
    """A file that cannot be played; the message says where it is wrong and what to do."""

    exit_code = 2
