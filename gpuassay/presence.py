"""That there is something to judge: a rule that holds of all that was recorded holds of nothing as well."""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeVar

T = TypeVar("T", bound=Sized)


def must_have(found: T, what: str, least: int = 1) -> T:
    """What was found, if it is at least `least` in number; a judge that goes through it judges something then.

    Args:
        found: what is about to be judged.
        what: says what it is, for the message.
        least: how many there must be.

    Raises:
        AssertionError: there are fewer, so that the behaviour did not show.

    Example:
        for order in must_have(act.note(ORDERS), "orders of creation"):
            ...
    """
    if len(found) < least:
        wanted = what if least == 1 else f"at least {least} {what}"
        raise AssertionError(f"expected {wanted} to judge, seen {len(found)}")
    return found
