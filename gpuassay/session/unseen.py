"""No secret in what pytest reports: hides it in each report before any plugin writes it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

import pytest

from gpuassay.secrets import hide


class Unseen:
    """Hooks around the making of each report; nearer to it than those of any other plugin."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Hide secrets in the exception, which Allure quotes, in the traceback and in what was captured."""
        if call.excinfo is not None:
            _hide_in(call.excinfo.value)
        report = yield
        _clean(report)
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Hide secrets in the exception of a fixture, which Allure quotes on its own."""
        try:
            return (yield)
        except BaseException as error:
            _hide_in(error)
            raise

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Likewise where a module cannot be imported."""
        report = yield
        _clean(report)
        return report


def _clean(report: pytest.TestReport | pytest.CollectReport) -> None:
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, hide(reason))
    elif report.longrepr is not None:
        told = str(report.longrepr)
        if (hidden := hide(told)) != told:  # plain text: its colours are lost, and nothing else
            report.longrepr = hidden
    report.sections[:] = [(name, hide(text)) for name, text in report.sections]


def _hide_in(error: BaseException) -> None:
    """Hide secrets in the words of an exception and of those that it came from."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        words = tuple(hide(word) if isinstance(word, str) else word for word in one.args)
        if words != one.args:
            one.args = words
        names = ["strerror", "filename", "filename2"] if isinstance(one, OSError) else []
        for name in (*names, *vars(one)):  # from which an exception may make its message
            value = getattr(one, name, None)
            if isinstance(value, str) and (hidden := hide(value)) != value:
                with suppress(AttributeError, TypeError):
                    setattr(one, name, hidden)
        left += [one.__cause__, one.__context__]
