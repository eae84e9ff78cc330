"""A framework's configuration as plain values, without its secrets.

In: a configuration as the framework holds it: dataclasses, mappings, sequences, live objects. Out: dicts, lists and scalars. On
failure: what cannot be copied becomes text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from genesis_otel._ship.redaction.redact import is_secret_setting, recognised
from genesis_otel._ship.redaction.verdict import REDACTED
from genesis_otel._urls import hidden


def as_json(config: Any) -> Any:
    """The configuration as dicts, lists and scalars, without keys, passwords and live objects."""
    if is_dataclass(config) and not isinstance(config, type):
        return {each.name: _setting(each.name, getattr(config, each.name, None)) for each in fields(config)}
    if isinstance(config, Mapping):
        return {str(name): _setting(str(name), value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [as_json(each) for each in config]
    if isinstance(config, str):
        return hidden(recognised(config), REDACTED)
    if config is None or isinstance(config, (bool, int, float)):
        return config
    if callable(config):
        return f"{getattr(config, '__module__', '')}.{getattr(config, '__qualname__', type(config).__qualname__)}"
    return f"<{type(config).__qualname__}>"


def _setting(name: str, value: Any) -> Any:
    return REDACTED if is_secret_setting(name, value) else as_json(value)
