"""The public interface: few names, each with an example, and a page that tells the truth."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gpuassay
from gpuassay.commands import api


def test_the_page_is_what_the_docstrings_say() -> None:
    """Red when somebody changes a public docstring and not the page."""
    assert api.PAGE.read_text() == api.page(), "run `python -m gpuassay api`"


def test_there_are_at_most_thirty_names() -> None:
    assert len(gpuassay.__all__) == len(set(gpuassay.__all__)) <= 30


@pytest.mark.parametrize("name", sorted(gpuassay.__all__))
def test_each_name_is_there_with_an_example(name: str) -> None:
    """Red when a name cannot be imported, or a reader is not shown how it is used."""
    assert "**Example**" in api.section(name)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = getattr(gpuassay, "nonsense")  # noqa: B009 - the type checker would refuse the plain way


def test_the_package_alone_imports_nothing_else() -> None:
    """Red when builds and load pods, which have the standard library alone, cannot import their parts of it."""
    program = "import sys, gpuassay; print([one for one in ('pytest', 'kubernetes', 'numpy') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
