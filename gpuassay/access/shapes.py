"""What a kubeconfig may hold, as `clientcmd/api/v1` of client-go has it; other fields are ignored, as there."""

from __future__ import annotations

from typing import Any

import msgspec


class Field(msgspec.Struct, frozen=True, rename="kebab"):
    """A part with kebab-case names; a field that is not given, or null, is None."""


class Cluster(Field, frozen=True):
    """A server, and how it is trusted and reached."""

    server: str | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: str | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[dict[str, Any]] | None = None


class Variable(Field, frozen=True):
    """An environment variable of a plugin."""

    name: str
    value: str | None = None


class Exec(msgspec.Struct, frozen=True, rename="camel"):
    """A credential plugin."""

    command: str | None = None
    args: list[str] | None = None
    env: list[Variable] | None = None
    api_version: str | None = None
    install_hint: str | None = None
    provide_cluster_info: str | None = None
    interactive_mode: str | None = None


class Provider(Field, frozen=True):
    """An auth-provider, the way before plugins."""

    name: str | None = None
    config: dict[str, str | None] | None = None


class User(Field, frozen=True):
    """Credentials. Of a data field and its file the data counts, of `token` and `tokenFile` the file."""

    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    exec: Exec | None = None
    auth_provider: Provider | None = None
    impersonate: str | None = msgspec.field(default=None, name="as")
    impersonate_uid: str | None = msgspec.field(default=None, name="as-uid")
    impersonate_groups: list[str] | None = msgspec.field(default=None, name="as-groups")
    impersonate_extra: dict[str, list[str]] | None = msgspec.field(default=None, name="as-user-extra")


class Context(Field, frozen=True):
    """Which user asks which server."""

    cluster: str | None = None
    user: str | None = None


TRUE, FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n", "")
"""Truth values of YAML 1.1."""
