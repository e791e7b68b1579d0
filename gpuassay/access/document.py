"""One kubeconfig file as a plain document in which every scalar is text.

Names are names: a context called `1` or `on` is no number and no truth value, and a token of digits keeps its zeros.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any, cast

import yaml

from gpuassay.access.errors import AccessError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _DoubledError(Exception):
    """A key stands twice in one mapping."""


class _TextLoader(yaml.SafeLoader):
    """YAML whose scalars are text, or null."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [one for one in resolvers if one[0] in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
            continue
        line = key.start_mark.line + 1
        if key.value in seen:
            raise _DoubledError(f"line {line}: {key.value!r} stands there again, first in line {seen[key.value]}")
        seen[key.value] = line
    loader.flatten_mapping(node)
    return cast("dict[Any, Any]", loader.construct_mapping(node, deep=True))


_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DoubledError(f"{key!r} stands twice in one object")
        found[key] = str(value).lower() if isinstance(value, bool) else value
    return found


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise AccessError(f"kubeconfig {path} cannot be read: it is a folder; name the file in it")
        if path.exists() and not path.is_file():
            raise AccessError(
                f"kubeconfig {path} cannot be read: it is a pipe or a device, which can be read once only, and it is "
                "needed more often; write it into a file"
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise AccessError(f"kubeconfig {path} does not exist") from None
    except OSError as e:
        raise AccessError(f"kubeconfig {path} cannot be read: {e.strerror or type(e).__name__}") from None
    encoding = next((name for mark, name in _BOMS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as e:
        raise AccessError(f"kubeconfig {path} cannot be read: byte {e.start} is no {encoding.upper()}") from None


def read_document(path: Path) -> object:
    """The document in a file, YAML or JSON; None when it holds nothing.

    Raises:
        AccessError: it cannot be read, or holds more than one document.
    """
    text = _text(path)
    try:
        if text.lstrip().startswith("{"):  # JSON may be indented with tabs, which YAML does not allow
            try:
                return _sound(path, json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str))
            except ValueError:
                pass  # YAML in flow style
        found = [one for one in yaml.load_all(text, _TextLoader) if one is not None]
    except _DoubledError as e:
        raise AccessError(f"kubeconfig {path} cannot be read: {e}; remove one") from None
    except yaml.MarkedYAMLError as e:
        # the context of the message quotes the line, which may hold a token
        where = f"line {e.problem_mark.line + 1}: " if e.problem_mark else ""
        raise AccessError(f"kubeconfig {path} cannot be read: {where}no YAML: {_plain(e.problem)}") from None
    except (yaml.YAMLError, ValueError) as e:
        reason = str(getattr(e, "reason", "") or "not well-formed")
        raise AccessError(f"kubeconfig {path} cannot be read: no YAML: {reason}") from None
    except RecursionError:
        raise AccessError(f"kubeconfig {path} cannot be read: it is nested too deeply") from None
    if len(found) > 1:
        raise AccessError(
            f"kubeconfig {path} cannot be read: it holds {len(found)} YAML documents, a kubeconfig is one; put each "
            "into a file of its own"
        )
    return _sound(path, found[0]) if found else None


def _sound(path: Path, document: object) -> object:
    """The document, when all of it can be sent and written: an escape may be half a character."""
    try:
        json.dumps(document, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        raise AccessError(f"kubeconfig {path} cannot be read: an escape (\\u..) in it is half a character") from None
    except (ValueError, RecursionError):
        raise AccessError(f"kubeconfig {path} cannot be read: a part of it holds itself") from None
    return document


def _plain(problem: str | None) -> str:
    """What PyYAML says, up to where it quotes the file by more than a character."""
    said = problem or "not well-formed"
    for word in ("alias", "anchor", "tag"):
        if word in said and "'" in said:
            return f"{said.partition(chr(39))[0].strip()} ({word})"
    return said
