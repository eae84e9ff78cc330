"""Alert rules: a search is stalled, failing, slow, too expensive or stagnant, or its data does not arrive.

In: the dashboards, to whose panels the rules link; alert rules have no variables, so values to adjust are in `THRESHOLDS`. Out: two files for Grafana's provisioning
(https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/file-provisioning). A query returns texts and
one number; each row is a separate alert, with the texts as labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from genesis_otel._grafana.contact import NAME
from genesis_otel._grafana.files import DATASOURCE
from genesis_otel._read.health import STALLED
from genesis_otel.attributes import ACTION_SPOOL_STATE
from grafana.source.dashboard import FOLDER
from grafana.source.links import LLM, PIPELINE, RUN
from grafana.source.sql import NEWEST_ROW, RUNNING, RUNNING_RUNS, TOOK, burn, found, state
from grafana.source.targets import TABLE, Target

THRESHOLDS = {
    "run stalled": float(STALLED),  # seconds without a sign of life
    "LLM error rate": 0.3,  # share of the calls of the last 15 minutes
    "LLM p95": 120.0,  # seconds, of the calls of the last 15 minutes
    "cost over budget": 1.0,  # share of its budget that a run has spent
    "no improvement": 2.0,  # multiples of its patience: the individuals that such a search may well need, see sql/parts/found.sql
    "stale data": 600.0,  # seconds since the latest row of any table
    "spans lost": 0.0,  # refused or dropped in the last hour, per spool
}
"""The value above which each rule fires."""

FAR_OVER = 1000
"""The share from which the message no longer gives it as a number."""

BUDGET = 50
"""USD that a run without a budget of its own may spend."""

CALLS_AT_LEAST = 20
"""Minimum calls in 15 minutes for a share or percentile to mean anything."""

LATELY = "timestamp > now64(3) - INTERVAL 15 MINUTE"


STALLED_RUNS = f"""
SELECT run_id, task_name AS task, toFloat64(silent_seconds) AS seconds
FROM ({state(RUNNING_RUNS)})
"""

ERRORS = f"""
SELECT run_id, countIf(status != 'ok') / count() AS share
FROM llm_logs FINAL
WHERE {LATELY} AND {RUNNING_RUNS}
GROUP BY run_id
HAVING count() >= {CALLS_AT_LEAST}
"""

SLOW = f"""
SELECT toString(model) AS model, quantile(0.95)(assumeNotNull({TOOK})) AS seconds
FROM llm_logs FINAL
WHERE {LATELY} AND {RUNNING_RUNS} AND {TOOK} IS NOT NULL AND operation != 'embeddings'
GROUP BY model
HAVING count() >= {CALLS_AT_LEAST}
"""

WAITED = f"""
SELECT run_id, toFloat64(assumeNotNull(waited)) AS individuals
FROM ({found(RUNNING_RUNS)})
WHERE waited IS NOT NULL
"""

# Whatever a budget of 0 has cost is over it, but not by a share of it.
DEAR = f"""
SELECT run_id, toString(assumeNotNull(allowed)) AS budget, toFloat64(ifNull(share, if(cost > 0, {FAR_OVER}, 0))) AS share
FROM ({burn(RUNNING_RUNS, str(BUDGET))})
"""

UNPRICED = f"""
SELECT run_id, toString(assumeNotNull(allowed)) AS budget, toFloat64(unpriced) AS calls
FROM ({burn(RUNNING_RUNS, str(BUDGET))})
"""

STAGNANT = f"""
SELECT run_id, toFloat64(assumeNotNull(waited)) / patience AS patience_spent
FROM ({found(RUNNING_RUNS)})
WHERE waited IS NOT NULL
"""

STALE = f"""
SELECT toFloat64(if(
    (SELECT count() FROM ({RUNNING.strip()})) = 0,
    0,
    greatest(0, dateDiff('second', ({NEWEST_ROW.strip()}), now64(3)))
)) AS seconds
"""

# All-time counts, so the new ones are the difference from the previous report; requeued dead letters reduce it.
LOST = f"""
SELECT host, folder, toFloat64(argMaxIf(lost, timestamp, lately) - argMaxIf(lost, timestamp, NOT lately)) AS spans
FROM (
    SELECT JSONExtractString(details, 'host') AS host, JSONExtractString(details, 'folder') AS folder, timestamp,
        timestamp > now64(3) - INTERVAL 1 HOUR AS lately,
        JSONExtractInt(details, 'dead_letters') + JSONExtractInt(details, 'dropped') AS lost
    FROM agent_actions
    WHERE run_id = '' AND action_type = '{ACTION_SPOOL_STATE}' AND timestamp > now64(3) - INTERVAL 30 DAY
)
GROUP BY host, folder
HAVING countIf(lately) > 0
"""

# Absolute, for mail and phones; Grafana's configured URL may or may not end in a slash.
_GRAFANA = r'{{ reReplaceAll "/+\\z" "" externalURL }}'
# By itself, a template writes a million as 1e+06.
_COUNT = '{{{{ printf "%.0f" {} }}}}'
_OPEN_RUN = f"/d/{RUN}?var-run={{{{ urlquery $labels.run_id }}}}"
_SILENCE_RUN = "/alerting/silence/new?alertmanager=grafana&matcher=run_id%3D{{ urlquery $labels.run_id }}"


class Rule(NamedTuple):
    """An alert rule: ``name`` is that of its threshold."""

    uid: str
    name: str
    sql: str
    waits: str
    """How long the condition must hold before anyone is notified."""
    severity: str
    summary: str
    link: str
    """The path of a dashboard whose panel ``panel`` shows the rule's subject."""
    panel: str
    beside: str = ""
    """A second query; the summary reads its number for the same texts as ``$values.B``."""


RULES = (
    Rule(
        "genesis-run-stalled",
        "run stalled",
        STALLED_RUNS,
        "2m",
        "critical",
        "{{ $labels.run_id }}{{ with $labels.task }} ({{ . }}){{ end }} has shown no sign of life for {{ humanizeDuration $values.A.Value }}.",
        _OPEN_RUN,
        "Last sign of life",
    ),
    Rule(
        "genesis-llm-errors",
        "LLM error rate",
        ERRORS,
        "5m",
        "critical",
        "{{ humanizePercentage $values.A.Value }} of the LLM calls of {{ $labels.run_id }} are failing.",
        _OPEN_RUN,
        "Failures",
    ),
    Rule(
        "genesis-llm-p95",
        "LLM p95",
        SLOW,
        "5m",
        "warning",
        "5 % of the calls to {{ $labels.model }} take longer than {{ humanizeDuration $values.A.Value }}.",
        f"/d/{LLM}?var-model={{{{ urlquery $labels.model }}}}",
        "Latency by model",
    ),
    Rule(
        "genesis-cost",
        "cost over budget",
        DEAR,
        "0s",
        "critical",
        f"{{{{ $labels.run_id }}}} has spent {{{{ if ge $values.A.Value {FAR_OVER:.1f} }}}}far more than"
        "{{ else }}{{ humanizePercentage $values.A.Value }} of"
        "{{ end }} its budget of {{ $labels.budget }} USD"
        f"{{{{ with $values.B }}}}{{{{ if gt .Value 0.0 }}}} + {_COUNT.format('.Value')} unpriced calls{{{{ end }}}}{{{{ end }}}}.",
        _OPEN_RUN,
        "Cost burn",
        UNPRICED,
    ),
    Rule(
        "genesis-stagnant",
        "no improvement",
        STAGNANT,
        "0s",
        "warning",
        f"{{{{ $labels.run_id }}}} has found nothing better{{{{ with $values.B }}}} for {_COUNT.format('.Value')} individuals{{{{ end }}}}: "
        '{{ printf "%.1f" $values.A.Value }} times as long as its own pace suggests.',
        _OPEN_RUN,
        "Since the last improvement",
        WAITED,
    ),
    Rule(
        "genesis-stale",
        "stale data",
        STALE,
        "2m",
        "critical",
        "Searches are running, but nothing has reached ClickHouse for {{ humanizeDuration $values.A.Value }}.",
        f"/d/{PIPELINE}",
        "Freshness",
    ),
    Rule(
        "genesis-lost",
        "spans lost",
        LOST,
        "0s",
        "critical",
        f"{_COUNT.format('$values.A.Value')} spans were refused or lost on {{{{ $labels.host }}}}: run `genesis-otel spool` for the reasons.",
        f"/d/{PIPELINE}",
        "Refused or lost",
    ),
)


def panel_of(rule: Rule, boards: Mapping[str, Mapping[str, Any]]) -> tuple[str, int]:
    """The uid of the dashboard that a rule links to, and the id of its panel, found by title."""
    uid = rule.link.removeprefix("/d/").partition("?")[0]
    panels = [inner for panel in boards[uid]["panels"] for inner in (panel, *(panel.get("panels") or ()))]
    (number,) = (panel["id"] for panel in panels if panel["title"] == rule.panel)
    return uid, number


def provisioned(rule: Rule, boards: Mapping[str, Mapping[str, Any]], receiver: str = "") -> dict[str, Any]:
    """A rule as in the provisioning file; with ``receiver`` it notifies that contact point, bypassing the notification policies."""
    uid, number = panel_of(rule, boards)
    silenced = {"silence": _GRAFANA + _SILENCE_RUN} if "run_id" in rule.link else {}
    expression = {
        "refId": "C",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [THRESHOLDS[rule.name]]}}],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
    }
    # The queries themselves limit how far back they look.
    span = {"from": 3600, "to": 0}
    return {
        "uid": rule.uid,
        "title": f"{FOLDER}: {rule.name}",
        "condition": "C",
        "data": [
            *(
                {"refId": ref, "relativeTimeRange": span, "datasourceUid": DATASOURCE, "model": _model(sql, ref)}
                for ref, sql in (("A", rule.sql), ("B", rule.beside))
                if sql
            ),
            {"refId": "C", "relativeTimeRange": span, "datasourceUid": "__expr__", "model": expression},
        ],
        # No rows means no search to which the rule applies.
        "noDataState": "OK",
        "execErrState": "Error",
        "for": rule.waits,
        "dashboardUid": uid,
        "panelId": number,
        "annotations": {"summary": rule.summary, "link": _GRAFANA + rule.link, **silenced},
        "labels": {"severity": rule.severity, "service": "genesis"},
        **({"notification_settings": {"receiver": receiver}} if receiver else {}),
        "isPaused": False,
    }


def _model(sql: str, ref: str) -> dict[str, Any]:
    asked = Target(sql, TABLE, ref).to_json()
    return {**asked, "datasource": {"type": asked["datasource"]["type"], "uid": DATASOURCE}}


def file(boards: Mapping[str, Mapping[str, Any]], receiver: str = "") -> dict[str, Any]:
    """The provisioning file as data."""
    group = {
        "orgId": 1,
        "name": FOLDER,
        "folder": FOLDER,
        "interval": "1m",
        "rules": [provisioned(rule, boards, receiver) for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


class _Dumper(yaml.SafeDumper):
    """YAML with SQL as literal blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]


_HEAD = "# Generated by `make dashboards` from grafana/source/alerts.py, where the thresholds are.\n"


def rendered(boards: Mapping[str, Mapping[str, Any]]) -> str:
    """The file's text; the organisation's notification policies decide who is notified."""
    return _HEAD + _yaml(file(boards))


_CONTACT = f"""\
# The rules of ../alerting/genesis.yaml, notifying the contact point `{NAME}` directly instead of through the notification policies, and
# that contact point. To use it, replace that file with this one, and set GENESIS_ALERT_WEBHOOK, the URL that Grafana posts to, in
# Grafana's environment. For mail or Slack, use one of these instead of the receiver, or in addition to it:
#
#       - {{uid: {NAME}-email, type: email, settings: {{addresses: $GENESIS_ALERT_EMAIL}}}}
#       - {{uid: {NAME}-slack, type: slack, settings: {{url: $GENESIS_ALERT_SLACK}}}}
contactPoints:
  - orgId: 1
    name: {NAME}
    receivers:
      - {{uid: {NAME}-webhook, type: webhook, settings: {{url: $GENESIS_ALERT_WEBHOOK}}}}
"""


def rendered_with_contact(boards: Mapping[str, Mapping[str, Any]]) -> str:
    """The file's text, including a contact point to notify."""
    return _HEAD + _CONTACT + _yaml(file(boards, NAME))


def _yaml(told: Mapping[str, Any]) -> str:
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
