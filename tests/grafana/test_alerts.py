"""The alert rules: each fires for its purpose and for nothing else; their file is what Grafana provisions."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from tests.support.alert_rules import NAMES, PROVISIONING, RULES, TOLD, begun, called, evaluated, fires, threshold

CALLS_AT_LEAST = 20
BUDGET = 50.0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_fires_on_an_empty_store(store: Client, name: str) -> None:
    """An empty store is neither an alert nor an error."""
    assert fires(store, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_ended_never_fires(store: Client, name: str) -> None:
    """However long ago it ended, whatever it cost, however little it found, and even if its last calls failed."""
    begun(store, "ended", 300, "completed")
    called(store, "ended", 100, failed=100, took=1000)
    evaluated(store, "ended", [1.0] * 60, minutes=200, cost=10)
    assert fires(store, name) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("LLM")])
def test_a_search_that_was_killed_long_ago_is_no_news(store: Client, name: str) -> None:
    """It stays `running` forever; a day after its last sign of life nobody is notified any more."""
    begun(store, "killed", 3 * 24 * 60)
    evaluated(store, "killed", [1.0] * 60, minutes=2 * 24 * 60, cost=10)
    assert fires(store, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_does_well_does_not_fire(store: Client, name: str) -> None:
    """A running search that finds better programs, whose calls are answered in time."""
    begun(store, "well", 60)
    evaluated(store, "well", [float(number) for number in range(60)], cost=0.1)
    called(store, "well", 100, failed=5, took=5.0)
    assert fires(store, name) == []


def test_a_silent_search_is_stalled(store: Client) -> None:
    """No individual, call or action for longer than the threshold; a call alone is a sign of life."""
    for run in ("silent", "thinking"):
        begun(store, run, 60)
        evaluated(store, run, [1.0], minutes=30)
    called(store, "thinking", 1)
    assert fires(store, "run stalled") == [("silent", "task")]


def test_a_resumed_search_is_stalled_by_what_it_did_since(store: Client) -> None:
    """One that was resumed a moment ago is alive, however long its pause was; one that hung as it was resumed is stalled, however long ago it first
    began; and one that does nothing but evaluate is alive for this rule as long as for its status."""
    for run, resumed in (("resumed", 1), ("hung", 60), ("evaluating", 2 * 24 * 60)):
        begun(store, run, 3 * 24 * 60)
        evaluated(store, run, [1.0], minutes=3 * 24 * 60)
        begun(store, run, resumed)
    store.command(
        "INSERT INTO agent_actions (run_id, action_type, timestamp) SELECT 'evaluating', 'job_submitted', now64(3) - 3600"
    )
    assert fires(store, "run stalled") == [("evaluating", "task"), ("hung", "task")]


def test_failing_calls_fire_by_run(store: Client) -> None:
    """More than the allowed share of the calls of the last 15 minutes; not for a handful, and not for earlier failures."""
    for run in ("failing", "few", "before"):
        begun(store, run, 60)
    called(store, "failing", 2 * CALLS_AT_LEAST, failed=CALLS_AT_LEAST)
    called(store, "few", CALLS_AT_LEAST - 1, failed=CALLS_AT_LEAST - 1)
    called(store, "before", 100, failed=100, minutes=20)
    assert fires(store, "LLM error rate") == [("failing",)]


def test_slow_models_fire(store: Client) -> None:
    """By model, over all running searches."""
    begun(store, "a", 60)
    called(store, "a", CALLS_AT_LEAST, took=threshold("LLM p95") + 1)
    assert fires(store, "LLM p95") == [("m",)]


def test_an_expensive_search_fires(store: Client) -> None:
    """By its calls, or by its individuals if calls have no cost."""
    half = BUDGET / 2 + 1
    for run in ("by calls", "by individuals", "cheap"):
        begun(store, run, 60)
        evaluated(store, run, [1.0, 2.0], cost=0 if run == "cheap" else half)
    called(store, "by calls", 2, cost=half)
    called(store, "cheap", 1, cost=half)
    assert fires(store, "cost over budget") == [("by calls", "50"), ("by individuals", "50")]


def test_a_run_s_own_budget_comes_first(store: Client) -> None:
    """A run that may spend less fires earlier, one that may spend more later."""
    for run, budget in (("thrifty", 1.0), ("rich", 200.0)):
        store.command(
            "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, budget, told_at)"
            " SELECT {run:String}, 'task', now64(3) - 60, 'running', {budget:Float64}, now64(9)",
            parameters={"run": run, "budget": budget},
        )
    called(store, "thrifty", 2, cost=0.75)
    called(store, "rich", 2, cost=75)
    assert fires(store, "cost over budget") == [("thrifty", "1")]


def test_a_stagnant_search_fires(store: Client) -> None:
    """Twice a run's patience without a better program, by its own rhythm: 50 individuals if its waits were short, twice its longest
    wait if they were long. Exactly that many do not fire yet."""
    twice = int(threshold("no improvement") * 50)
    for run, scores in {
        "stagnant": [1.0, 2.0] + [2.0] * (twice + 1),
        "at the threshold": [1.0, 2.0] + [2.0] * (twice - 1),
        "slow by nature": [1.0] * 100 + [2.0] * (twice + 2),
    }.items():
        begun(store, run, 60)
        evaluated(store, run, scores)
    assert fires(store, "no improvement") == [("stagnant",)]


def test_a_search_of_generations_is_stagnant_after_twice_ten(store: Client) -> None:
    """If a generation is many programs, ten generations are its patience: 21 without a better one fire, 19 do not."""
    for run, generations in (("stagnant", 21), ("not yet", 19)):
        begun(store, run, 60)
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score) SELECT {run:String},"
            " toString(number), intDiv(number, 20), addMilliseconds(now64(3) - 60, number), number = 0"
            " FROM numbers(20 * ({generations:UInt32} + 1))",
            parameters={"run": run, "generations": generations},
        )
    assert fires(store, "no improvement") == [("stagnant",)]


def test_stale_data_fires_for_all_searches_together(store: Client) -> None:
    """A search is running, and no table has received a row for longer than the threshold."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, told_at, ingested_at)"
        " SELECT 'run', now64(3) - 3600, 'running', now64(9) - 3600, now64(3) - 3600"
    )
    assert fires(store, "stale data") == [()]
    called(store, "run", 1)
    assert fires(store, "stale data") == []


def told_by_spool(store: Client, folder: str, lost: int, minutes: float) -> None:
    """A spool reported, this many minutes ago, how many spans were refused in it overall; one was dropped."""
    details = json.dumps({"host": "here", "folder": folder, "waiting": 7, "dead_letters": lost, "dropped": 1})
    store.command(
        "INSERT INTO agent_actions (action_type, details, timestamp, span_id)"
        " SELECT 'spool_state', {details:String}, now64(3) - {ago:Float64} * 60, toString(rand64())",
        parameters={"details": details, "ago": minutes},
    )


def test_lost_spans_fire_for_an_hour(store: Client) -> None:
    """By the increase: not for what was lost long ago, and not for a dead letter that was accepted later."""
    for folder, minutes, lost in (
        *(("first", 5, 2), ("more", 200, 2), ("more", 5, 3), ("less", 200, 2), ("less", 5, 0)),
        *(("long ago", 200, 2), ("long ago", 5, 2), ("over", 90, 2)),
    ):
        told_by_spool(store, folder, lost, minutes)
    assert fires(store, "spans lost") == [("here", "first"), ("here", "more")]


def test_the_file_is_what_grafana_provisions() -> None:
    """Uids are unique, each rule has a query on the provisioned data source with a threshold, and leads to a dashboard."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "clickhouse.yaml").read_text())["datasources"]
    assert TOLD["apiVersion"] == 1 and len({rule["uid"] for rule in RULES.values()}) == len(RULES) == 7
    for rule in RULES.values():
        asked, *beside, expression = rule["data"]
        for each in (asked, *beside):
            assert each["datasourceUid"] == each["model"]["datasource"]["uid"] == source["uid"]
            assert each["refId"] == "A" or f"$values.{each['refId']}" in rule["annotations"]["summary"]
        assert rule["condition"] == expression["refId"] and expression["model"]["expression"] == asked["refId"]
        assert "$" not in asked["model"]["rawSql"], "alert rules know no variables"


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_leads_to_its_panel_and_to_its_silence(name: str) -> None:
    """Its link is absolute, as mails and phones need it, and names variables that the dashboard has; its panel exists; one search can be
    silenced by the label `run_id`, which every rule about a search has."""
    rule = RULES[name]
    board = json.loads((PROVISIONING.parent / "dashboards" / f"{rule['dashboardUid']}.json").read_text())
    panels = {inner["id"] for panel in board["panels"] for inner in (panel, *(panel.get("panels") or ()))}
    assert rule["panelId"] in panels
    link = rule["annotations"]["link"]
    address = link.removeprefix(r'{{ reReplaceAll "/+\\z" "" externalURL }}')
    assert address != link and address.startswith(f"/d/{rule['dashboardUid']}")
    named = set(re.findall(r"var-(\w+)=", address))
    assert named <= {each["name"] for each in board["templating"]["list"]}
    of_a_search = rule["data"][0]["model"]["rawSql"].startswith("SELECT run_id")
    silence = rule["annotations"].get("silence", "")
    assert of_a_search == ("run" in named) == silence.endswith("matcher=run_id%3D{{ urlquery $labels.run_id }}")


@pytest.mark.parametrize("name", NAMES)
def test_a_summary_is_read_on_a_phone(name: str) -> None:
    """One sentence that names what it is about, with its number, in at most 160 characters."""
    summary = RULES[name]["annotations"]["summary"]
    assert "{{ $labels." in summary or "searches" in summary.lower()
    assert "({{ $labels" not in summary, "of a label without a value, the brackets would be left"
    assert "$values.A.Value" in summary
    # Go's templates write a million as 1e+06 unless they are told how.
    assert not re.search(r"{{ (\$values\.\w+)?\.Value }}", summary)
    read = re.sub(r"{{ (with|if|else|end)[^}]*}}", "", summary)
    read = re.sub(r"{{[^}]*}}", "run_20240115_142345", read)
    assert len(read) <= 160 and read.endswith(".")


def test_a_contact_point_is_provisioned_for_whoever_wants_it() -> None:
    """The file with the contact point has the same rules; each names it, and the notification policies are unchanged."""
    told = yaml.safe_load((PROVISIONING / "contact" / "genesis.yaml").read_text())
    (contact,) = told["contactPoints"]
    assert set(told) == {"apiVersion", "contactPoints", "groups"} and contact["name"] == "genesis"
    assert [each["uid"] for each in contact["receivers"]] == ["genesis-webhook"]
    rules = [rule for group in told["groups"] for rule in group["rules"]]
    assert all(rule.pop("notification_settings") == {"receiver": "genesis"} for rule in rules)
    assert rules == list(RULES.values())
    assert not any("notification_settings" in rule for rule in RULES.values())
