"""Addresses in messages: recognisable, and without a secret."""

from __future__ import annotations

import pytest

from gpuassay.load.addresses import without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://gate.test:8080/llm/v1", "http://gate.test:8080/llm/v1"),
        ("http://me:s3cret@gate.test/x", "http://gate.test/x"),
        ("http://s3cret@gate.test", "http://gate.test"),
        ("http://me:s3@cret@gate.test", "http://gate.test"),
        ("http://me:s3/cret@gate.test", "http://gate.test"),
        ("http://gate.test:80/@scope/x", "http://gate.test:80/@scope/x"),
        ("http://[::1]:8080/@scope", "http://[::1]:8080/@scope"),
        ("me:s3cret@gate.test:3128", "gate.test:3128"),
        ("https://gate.test/x?key=s3cret#s3cret", "https://gate.test/x"),
        ("/v1/x/?key=s3cret", "/v1/x/"),
        ("//gate.test/x", "//gate.test/x"),
        ("http://[::1", "http://[::1"),
        ("http://gate\x1b.test", "http://gate?.test"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    """Red when a message shows a password or key, or an address that nobody recognises."""
    assert without_secrets(url) == shown
