"""What is pushed to Grafana, in the form of files: dashboards as JSON, alert rules as provisioning YAML.

In: a folder with ``dashboards/*.json`` and ``provisioning/alerting/*.yaml``. Out: dashboards, and rule groups in the alert API's form,
which differs from the file's; and both without what Grafana itself adds, so that two of them can be compared. On failure:
`GrafanaError`, which names the file. Nothing here calls Grafana.
Sources: pkg/services/provisioning/alerting/rules_types.go (the file), definitions/provisioning_alert_rules.go (the API).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PLUGIN = "grafana-clickhouse-datasource"
DATASOURCE = "genesis-clickhouse"
"""The uid by which dashboards and rules refer to the data source; replaced if another uid is given."""
MARK = "__genesis_otel__"
"""A rule's annotation with the digest of what was pushed. Grafana leaves annotations named like this out of notifications."""

_ADDED = frozenset({"id", "version", "iteration", "gnetId"})
_ADDED_TO_RULES = frozenset({"id", "orgID", "folderUID", "ruleGroup", "updated", "provenance", "guid"})
_DEFAULTS_OF_A_MODEL: Mapping[str, Any] = {"intervalMs": 1000, "maxDataPoints": 43200}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_API_NAMES = {"keepFiringFor": "keep_firing_for", "missing_series_evals_to_resolve": "missingSeriesEvalsToResolve"}
_FILE_NAMES = {api: file for file, api in _API_NAMES.items()}


class GrafanaError(ValueError):
    """What is wrong with a Grafana or with what is pushed to it, and how to fix it, without any secret."""


class Dashboard(NamedTuple):
    """A dashboard's file."""

    path: Path
    model: dict[str, Any]

    @property
    def uid(self) -> str:
        """The uid by which Grafana knows it."""
        return str(self.model["uid"])


class RuleGroup(NamedTuple):
    """A group of alert rules in the API's form."""

    path: Path
    name: str
    interval: int
    rules: list[dict[str, Any]]


def folder() -> Path:
    """The folder that comes with this package: in a checkout the one being edited, else the wheel's."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "grafana"
    return checkout if (checkout / "dashboards").is_dir() else package / "grafana"


def dashboards(root: Path) -> list[Dashboard]:
    """The dashboards under ``root``, by file name."""
    found = [_dashboard(path) for path in sorted((root / "dashboards").glob("*.json"))]
    uids = [each.uid for each in found]
    for each in found:
        if uids.count(each.uid) > 1:
            raise GrafanaError(f"{each.path}: the uid {each.uid!r} is also used in another file")
    return found


def _dashboard(path: Path) -> Dashboard:
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GrafanaError(f"{path} is not JSON: {error}") from error
    if not isinstance(model, dict) or not all(isinstance(model.get(key), str) for key in ("uid", "title")):
        raise GrafanaError(f"{path} is not a dashboard: it has no uid and title")
    return Dashboard(path, model)


def rule_groups(root: Path) -> list[RuleGroup]:
    """The groups of alert rules under ``root``, in the API's form."""
    import yaml

    groups = []
    for path in sorted((root / "provisioning" / "alerting").glob("*.y*ml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            groups += [
                RuleGroup(path, str(each["name"]), int(seconds(str(each["interval"]))), [*map(to_api, each["rules"])])
                for each in document.get("groups") or []
            ]
        except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
            raise GrafanaError(f"{path} is not a provisioning file of alert rules: {error}") from error
        except KeyError as error:
            raise GrafanaError(f"{path}: a group or a rule in it has no {error}") from error
    return groups


def datasource_settings(root: Path) -> dict[str, Any]:
    """``jsonData`` of the data source provisioned under ``root``: time limits, the columns of a trace."""
    import yaml

    for path in sorted((root / "provisioning" / "datasources").glob("*.y*ml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise GrafanaError(f"{path} is not YAML: {error}") from error
        for each in document.get("datasources") or []:
            if each.get("type") == PLUGIN:
                return dict(each.get("jsonData") or {})
    return {}


# --- one rule ---------------------------------------------------------------------------------------------------------


def to_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a rule from the provisioning file's form to the alert API's.

    The file's ``$$`` is a ``$`` (Grafana replaces environment variables when it reads files), its link to a panel becomes two
    annotations, and fields that may be left out get the file's defaults.
    """
    made = {_API_NAMES.get(key, key): value for key, value in rule.items()}
    annotations = dict(made.get("annotations") or {})
    for key, name in (("dashboardUid", "__dashboardUid__"), ("panelId", "__panelId__")):
        if made.pop(key, None):
            annotations[name] = str(rule[key])
    made["uid"], made["title"], made["data"] = str(rule["uid"]), _literal(rule["title"]), [*map(dict, rule["data"])]
    made["annotations"] = {key: _literal(value) for key, value in annotations.items()}
    made["labels"] = {key: _literal(value) for key, value in (made.get("labels") or {}).items()}
    made["for"] = str(made.get("for") or "0s")
    made.setdefault("noDataState", "NoData")
    made.setdefault("execErrState", "Alerting")
    made.setdefault("isPaused", False)
    return made


def to_file(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a rule from the alert API's form to the provisioning file's: the inverse of `to_api`."""
    made = {_FILE_NAMES.get(key, key): value for key, value in plain_rule(rule).items()}
    annotations = dict(made.get("annotations") or {})
    if "__dashboardUid__" in annotations:
        made["dashboardUid"] = annotations.pop("__dashboardUid__")
    if "__panelId__" in annotations:
        made["panelId"] = int(annotations.pop("__panelId__"))
    # An annotation in a file keeps a $ that no brace follows; elsewhere each $ would begin a variable.
    made["annotations"] = {key: re.sub(r"\$(?=[${])", "$$$$", value) for key, value in annotations.items()}
    made["labels"] = {key: value.replace("$", "$$") for key, value in (made.get("labels") or {}).items()}
    made["title"] = made["title"].replace("$", "$$")
    return {
        key: value for key, value in {**made, "isPaused": bool(made.get("isPaused"))}.items() if value not in ({}, None)
    }


def _literal(value: Any) -> str:
    return str(value).replace("$$", "$")


def seconds(text: str) -> float:
    """A duration in Prometheus's notation (``1h30m``), in seconds.

    :raises ValueError: it is not a duration.
    """
    if text == "0":
        return 0
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError(f"{text!r} is not a duration like 1m or 1h30m")
    return sum(int(count) * _SECONDS[unit] for count, unit in parts)


# --- comparing --------------------------------------------------------------------------------------------------------


def plain_dashboard(model: Mapping[str, Any]) -> dict[str, Any]:
    """A dashboard without what each Grafana adds: numeric ids, and the version of a panel's plugin."""
    kept = {key: value for key, value in model.items() if key not in _ADDED}
    return dict(_without(kept, "pluginVersion"))


def _without(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(each, name) for key, each in value.items() if key != name}
    return [_without(each, name) for each in value] if isinstance(value, list) else value


def plain_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """An API rule without what Grafana adds, empty fields and our mark, and with durations in one notation."""
    kept = {key: value for key, value in rule.items() if key not in _ADDED_TO_RULES and value}
    for key in ("for", "keep_firing_for"):
        if key in kept:
            kept[key] = _duration(kept[key])
    if kept.get("keep_firing_for") == "0s":
        del kept["keep_firing_for"]
    kept["annotations"] = {key: value for key, value in (kept.get("annotations") or {}).items() if key != MARK}
    kept["labels"] = kept.get("labels") or {}
    kept["data"] = [_plain_query(query) for query in kept.get("data") or []]
    settings = {key: value for key, value in (kept.pop("notification_settings", None) or {}).items() if value}
    if settings:
        kept["notification_settings"] = settings
    return kept


def _duration(text: str) -> str:
    left, duration = int(seconds(text)), ""
    for unit in ("h", "m", "s"):
        count, left = divmod(left, int(_SECONDS[unit]))
        duration += f"{count}{unit}" if count else ""
    return duration or "0s"


def _plain_query(query: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in query.items() if (key, value) != ("queryType", "")}
    model = kept.get("model")
    if isinstance(model, Mapping):
        kept["model"] = {key: value for key, value in model.items() if _DEFAULTS_OF_A_MODEL.get(key) != value}
    kept.setdefault("relativeTimeRange", {"from": 0, "to": 0})
    return kept


def digest(value: Any) -> str:
    """Sixteen hex digits that tell one JSON value from another."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def replaced(value: Any, old: str, new: str) -> Any:
    """``value`` with every string that equals ``old`` replaced by ``new``: the uid of a data source."""
    if isinstance(value, Mapping):
        return {key: replaced(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, old, new) for each in value]
    return new if value == old else value


def in_order_of(value: Any, model: Any) -> Any:
    """``value`` with its keys in the order of ``model``'s, followed by new ones, so that a diff shows only what changed."""
    if isinstance(value, Mapping) and isinstance(model, Mapping):
        keys = [key for key in model if key in value] + [key for key in value if key not in model]
        return {key: in_order_of(value[key], model.get(key)) for key in keys}
    if isinstance(value, list) and isinstance(model, list):
        return [in_order_of(each, like) for each, like in _paired(value, model)]
    return value


def _paired(values: Sequence[Any], models: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    by_id = {each["id"]: each for each in models if isinstance(each, Mapping) and "id" in each}
    for position, value in enumerate(values):
        known = by_id.get(value.get("id")) if isinstance(value, Mapping) else None
        yield value, known or (models[position] if position < len(models) else None)


def as_json(value: Any) -> str:
    """``value`` in the format of the dashboards' files."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
