"""The templates under `reports/templates` and what they may call."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateNotFound

from gpuassay import resources
from gpuassay.report.account import GLYPH, MEANING
from gpuassay.report.rundir import ReportError
from gpuassay.report.text import clip, number, one_line, plural, seconds
from gpuassay.verdict import State

ROOT = resources.ROOT / "reports"
"""Report templates and Allure configuration, in the repository beside the package."""


def template(name: str) -> Template:
    """The template `name`; everything a template prints is escaped in `.html.j2` and nothing may be undefined.

    Raises:
        ReportError: the package runs without its repository.
    """
    try:
        return _environment().get_template(name)
    except TemplateNotFound:
        raise ReportError(f"{ROOT / 'templates' / name}: missing; run from a checkout of the repository") from None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for key, call in _filters().items():
        environment.filters[key] = call
    return environment


def _filters() -> dict[str, Callable[..., Any]]:
    return {
        "number": number,
        "seconds": seconds,
        "clip": clip,
        "one_line": one_line,
        "css": state_css,
        "glyph": glyph,
        "meaning": meaning,
        "url_label": url_label,
        "cell": cell,
        "is_url": is_url,
        "plural": plural,
    }


def asset(name: str) -> str:
    """A style sheet or script to be put into the page as it is.

    Raises:
        ReportError: the package runs without its repository.
    """
    path = ROOT / "templates" / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ReportError(f"{path}: missing; run from a checkout of the repository") from None


def script_hash(script: str) -> str:
    """The Content-Security-Policy source that lets `script`, and no injected one, run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def glyph(state: str) -> str:
    """The sign of a state."""
    return GLYPH[State(state)]


def meaning(state: str) -> str:
    """What a state says, in a few words."""
    return MEANING[State(state)]


def url_label(url: str, limit: int = 60) -> str:
    """A URL in words that fit a table: the last part of its path and its fragment, else its host."""
    parts = urlsplit(url)
    words = " \u203a ".join(part for part in (parts.path.strip("/").rsplit("/", 1)[-1], parts.fragment) if part)
    return one_line(words or parts.netloc, limit)


def state_css(state: str) -> str:
    """`known-defect` for KNOWN-DEFECT, `pass-recorded` for PASS, RECORDED."""
    return str(state).lower().replace(", ", "-")


def is_url(value: Any) -> TypeGuard[str]:
    """Whether `value` may become a link: no `javascript:`, no `data:`."""
    if not isinstance(value, str) or any(c.isspace() for c in value):
        return False
    try:
        return urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc)
    except ValueError:
        return False


def cell(value: Any) -> str:
    """Any JSON value in one table cell."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return number(value)
