"""The dashboards: what their JSON promises, and that every query of every panel answers in the shape that its panel draws."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries as named_queries
from genesis_otel._store import connection, schema
from genesis_otel._store.tables import STORED_IN
from tests.support.dashboards import (
    ASKED,
    BOARDS,
    EVERYTHING,
    ODD,
    PANELS,
    RUNS,
    Asked,
    answer,
    around_now,
    chosen,
    panels_of,
    queries_of,
    searches_in,
)
from tests.support.grafana_query import ALL, TimeRange, Value, sent
from tests.support.panel_shapes import SHAPES, settings_fit
from tests.support.searched import BEST, GOING_ON, LINEAGE_OF_BEST, MODELS, RUN, TASK

ROOT = Path(__file__).resolve().parents[2]
NUMERIC = {"stat", "timeseries", "trend", "xychart", "barchart"}

EMPTY = {
    "genesis-run/Pareto front/A",  # of this search, everybody was on a front once
    "genesis-run/Pareto front/C",  # no member of its last front is dominated
    "genesis-run/Running jobs/A",  # the search has ended
    "genesis-lineage/Its children/A",  # the best has none yet
    "genesis-compare/What was set differently/A",  # all three were set alike
    "genesis-pipeline/Spans without a parent/A",  # none was lost
}
"""Queries whose right answer on these searches is no row."""


@pytest.fixture(scope="module")
def searches(engine: Path) -> Iterator[Client]:
    """A client on a database with three searches in it."""
    with searches_in(engine, "dashboards") as client:
        yield client


@pytest.fixture(scope="module")
def nothing(engine: Path) -> Iterator[Client]:
    """A client on a database with empty tables."""
    client = connection.open_embedded(engine)
    client.command("CREATE DATABASE nothing")
    client.database = "nothing"
    schema.init_schema(client, traces_ttl_days=0)
    yield client
    client.command("DROP DATABASE nothing SYNC")
    client.close()


@pytest.fixture(scope="module")
def trace(searches: Client) -> str:
    """The trace in which the best individual of `RUN` was made."""
    sql = "SELECT trace_id FROM individuals WHERE run_id = {run:String} AND individual_id = {id:String}"
    return str(searches.query(sql, parameters={"run": RUN, "id": BEST}).result_rows[0][0])


# --- the files -----------------------------------------------------------------------------------------------------------


def test_the_files_match_the_code() -> None:
    """`python -m grafana.source --check` finds nothing to rewrite."""
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk needs Python 3.11")
    done = subprocess.run(
        [sys.executable, "-m", "grafana.source", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_seven_dashboards_are_there() -> None:
    """Under uids that people bookmark."""
    names = ("compare", "lineage", "llm", "pipeline", "run", "runs", "traces")
    assert sorted(BOARDS) == [f"genesis-{name}" for name in names]


@pytest.mark.parametrize(
    ("uid", "panel"), PANELS, ids=lambda value: value if isinstance(value, str) else value["title"]
)
def test_a_panel_says_what_it_shows(uid: str, panel: dict[str, Any]) -> None:
    """Title, description, the selected data source, and a text for when there is nothing to show."""
    assert panel["title"] and len(panel["description"]) > 3, uid
    if panel["type"] == "text":
        return
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    if panel["type"] != "traces":
        assert panel["fieldConfig"]["defaults"]["noValue"]
    if panel["type"] in NUMERIC:
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_panels_have_their_own_number_and_place(uid: str) -> None:
    """No number is used twice, and no two panels overlap in the grid of 24 columns."""
    board = BOARDS[uid]["panels"]
    every = [inner for panel in board for inner in (panel, *(panel.get("panels") or ()))]
    assert len({panel["id"] for panel in every}) == len(every)
    # A folded panel is placed where what is below it will make room.
    for panels in (board, *(panel["panels"] for panel in board if panel.get("panels"))):
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, panel["title"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


def test_links_lead_to_dashboards_and_variables_that_are_there() -> None:
    """Each data link names an existing dashboard and its variables, each value encoded and taken from a column of its query."""
    found = 0
    for uid, panel in PANELS:
        columns = {
            name for asked in queries_of(BOARDS[uid]) if asked.title == panel["title"] for name in _columns(asked)
        }
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            for setting in override["properties"]:
                for link in setting["value"] if setting["id"] == "links" else ():
                    target, _, query = link["url"].removeprefix("/d/").partition("?")
                    variables = {each["name"] for each in BOARDS[target]["templating"]["list"]}
                    named = set(re.findall(r"var-(\w+)=", query))
                    assert named <= variables, (panel["title"], link["url"])
                    fields = set(re.findall(r"__data\.fields\.(\w+)", query))
                    assert fields <= columns, (panel["title"], fields - columns)
                    assert not re.search(r"var-\w+=\$\{[\w.]+\}", query), "a value without :percentencode"
                    found += 1
    assert found > 30


def _columns(asked: Asked) -> set[str]:
    return set(re.findall(r"\bAS (\w+)", asked.sql)) | set(re.findall(r"\w+", asked.sql))


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_query_quotes_what_people_choose_and_names_no_database(asked: Asked) -> None:
    """A variable occurs in SQL only percent-encoded within quotes, or as the name that `$__conditionalAll` looks up."""
    bare = re.sub(r", \$\w+\)", ")", asked.sql)
    assert "${" not in re.sub(r"decodeURLComponent\('\$\{\w+:percentencode\}'\)", "", bare)
    assert re.findall(r"\$(?!__)\w+", bare) == []
    assert not re.search(
        r"\b(genesis|default)\.\w+",
        asked.sql.replace("genesis.run", "")
        .replace("genesis.record", "")
        .replace("genesis.individual", "")
        .replace("genesis.generation", ""),
    )


# --- their answers -------------------------------------------------------------------------------------------------------


CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "a run": {},
    "id with quotes": {"run": (ODD,)},
    "one": {"task": (TASK,), "run": (RUN,), "model": (MODELS[0],), "runs": (RUN,)},
    "several": {"task": (TASK, "another"), "run": RUNS, "model": tuple(MODELS), "runs": RUNS},
    "hostile": {"task": (ODD, "$'", "$&`$$"), "run": (ODD, "$' OR 1=1"), "model": (ODD,), "runs": (ODD,)},
}
"""What people choose, by variable; all of what can be all, where nothing is said."""


def with_choice(asked: Asked, choice: str) -> dict[str, Value]:
    """The variables of a query's dashboard."""
    values = chosen(BOARDS[asked.board])
    several = {each["name"] for each in BOARDS[asked.board]["templating"]["list"] if each.get("multi")}
    picked = {name: value if name in several else value[0] for name, value in CHOICES[choice].items() if name in values}
    return {**values, **picked}


def different(*choices: str) -> list[tuple[Asked, str]]:
    """Each query with the choices that change what is sent; the others would ask again what an earlier one asks."""
    times = TimeRange(datetime(2026, 1, 1), datetime(2026, 1, 2), 10)
    found: dict[tuple[str, str], tuple[Asked, str]] = {}
    for asked in ASKED:
        for choice in choices:
            found.setdefault(
                (str(asked), sent(asked.sql, with_choice(asked, choice), times, EVERYTHING)), (asked, choice)
            )
    return list(found.values())


IDS = ("a run", "id with quotes")


@pytest.mark.parametrize(("asked", "choice"), different(*IDS), ids=str)
def test_a_query_answers_in_the_shape_of_its_panel(searches: Client, trace: str, asked: Asked, choice: str) -> None:
    """On the engine, as Grafana would send it: it runs, has rows if there is something to show, and has the columns, types and
    order that its kind of panel draws."""
    values = with_choice(asked, choice)
    result = answer(searches, asked, {**values, "trace": trace} if "trace" in values else values, around_now())
    if str(asked) not in EMPTY:
        assert result.result_rows
    SHAPES[asked.type](asked, result)
    settings_fit(asked, result)


OF_A_RUN = [
    each for each in ASKED if each.board in ("genesis-run", "genesis-lineage") and each.title not in ("$task", "$run")
]


@pytest.mark.parametrize("asked", OF_A_RUN, ids=str)
def test_panels_of_a_run_read_by_its_id(searches: Client, trace: str, asked: Asked) -> None:
    """The engine looks each table up by the run, the first part of its sort key: no panel reads all runs to show one."""
    sql = sent(asked.sql, chosen(BOARDS[asked.board], GOING_ON, trace=trace), around_now(), EVERYTHING)
    plan = "\n".join(str(row[0]) for row in searches.query(f"EXPLAIN indexes = 1 {sql}").result_rows)
    tables = "|".join(STORED_IN.values())
    reads = re.findall(rf"ReadFromMergeTree \(\w+\.(?:{tables})\).*?(?=ReadFromMergeTree|\Z)", plan, re.DOTALL)
    assert all(re.search(r"Condition: .*run_id in ", read) for read in reads), plan


@pytest.mark.parametrize(("asked", "choice"), [each for each in different(*CHOICES) if each[1] not in IDS], ids=str)
def test_a_query_runs_whatever_is_chosen(searches: Client, asked: Asked, choice: str) -> None:
    """With one value, with several and with hostile ones selected, every query still runs."""
    answer(searches, asked, with_choice(asked, choice), around_now())


def test_a_condition_is_put_in_as_the_browser_does() -> None:
    """JavaScript expands `$'` in a replacement to what follows, and `$$` to one sign: the tests do, too."""
    times = around_now()
    asked = "SELECT $__conditionalAll(a = '$$-', $task) AND b"
    assert sent(asked, {"task": ("t",)}, times, {}) == "SELECT a = '$-' AND b"
    back = "SELECT $__conditionalAll(b, $task) OR $__conditionalAll(match(a, '$`'), $task)"
    with pytest.raises(ValueError, match="for ever"):
        sent(back, {"task": ("t",)}, times, {})


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_query_runs_where_nothing_is_chosen_and_nothing_there(nothing: Client, asked: Asked) -> None:
    """In an empty store, with variables without a value: an answer without an error, so that the empty state shows."""
    values = {name: "" if value != ALL else ALL for name, value in chosen(BOARDS[asked.board]).items()}
    nothing.query(sent(asked.sql, values, around_now(), {}))


# --- what they say -------------------------------------------------------------------------------------------------------


def rows(client: Client, board: str, title: str, ref: str = "A", run: str = RUN, **others: str) -> list[dict[str, Any]]:
    """The rows that a panel shows."""
    (asked,) = (each for each in ASKED if (each.board, each.title, each.ref) == (board, title, ref))
    return list(answer(client, asked, {**chosen(BOARDS[board], run), **others}, around_now()).named_results())


def value(client: Client, board: str, title: str, run: str = RUN, **others: str) -> Any:
    """The value that a stat shows, or shows first."""
    (row,) = rows(client, board, title, run=run, **others)
    return next(iter(row.values()))


def test_runs_say_which_one_needs_you(searches: Client) -> None:
    """The running search has been silent for an hour; the ended ones show how they ended; their trend rises to the best."""
    shown = {row["run_id"]: row for row in rows(searches, "genesis-runs", "Runs")}
    assert shown[GOING_ON]["health"] == "stalled"
    assert shown[GOING_ON]["silent"] > 3000 and shown[RUN]["silent"] is None
    ended = shown[RUN]
    assert (ended["health"], ended["individuals"], ended["progress"], ended["best"]) == ("completed", 13, 1.0, 0.97)
    assert ended["trend"] == [0.5, 0.6, 0.8, 0.95, 0.97] and ended["waited"] == 0
    assert ended["gain_per_dollar"] == pytest.approx((0.97 - 0.5) / ended["cost"])


def test_runs_keep_their_order(searches: Client) -> None:
    """Running ones first, then the newest, so that a refresh moves no row."""
    shown = rows(searches, "genesis-runs", "Runs")
    began = [row["started"] for row in shown]
    assert shown[0]["run_id"] == GOING_ON and began[1:] == sorted(began[1:], reverse=True)
    assert [row["run_id"] for row in rows(searches, "genesis-runs", "Runs")] == [row["run_id"] for row in shown]


def test_a_link_to_a_running_search_goes_on_with_it(searches: Client) -> None:
    """Its time range ends at `now`; that of an ended or stalled run ends with its last sign of life."""
    searches.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, told_at) VALUES ('alive', 't', now64(3), 'running', now64(9))"
    )
    shown = {row["run_id"]: row for row in rows(searches, "genesis-runs", "Runs")}
    assert shown["alive"]["to_time"] == "now" and int(shown["alive"]["from_ms"]) > 0
    assert int(shown[RUN]["to_time"]) > int(shown[RUN]["from_ms"])
    assert rows(searches, "genesis-run", "Status", run="alive")[0]["to_time"] == "now"
    searches.command("DELETE FROM evolution_runs_log WHERE run_id = 'alive'")


def test_idle_time_between_runs_does_not_count(searches: Client) -> None:
    """Individuals per hour cover only the hours in which a search was active: three searches in parallel are as fast as all three."""
    parts = searches.query(
        "SELECT count(), dateDiff('millisecond', (SELECT min(start_time) FROM evolution_runs), max(timestamp)) / 3600000 FROM individuals"
    )
    (individuals, hours), *_ = parts.result_rows
    assert value(searches, "genesis-runs", "Individuals per hour") == pytest.approx(individuals / hours, rel=1e-3)
    searches.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, end_time, status, told_at) VALUES ('later', now64(3) - 20, now64(3), 'completed', now64(9))"
    )
    searches.command("INSERT INTO individuals (run_id, individual_id, timestamp) VALUES ('later', 'i', now64(3) - 10)")
    more = (individuals + 1) / (hours + 10 / 3600)
    assert value(searches, "genesis-runs", "Individuals per hour") == pytest.approx(more, rel=1e-2)
    searches.command("DELETE FROM individuals WHERE run_id = 'later'")
    searches.command("DELETE FROM evolution_runs_log WHERE run_id = 'later'")


def test_a_trace_lasts_as_long_as_its_spans(searches: Client, trace: str) -> None:
    """From the first span's start to the last one's end, as in Grafana's own view of the trace."""
    listed = {row["trace_id"]: row["took"] for row in rows(searches, "genesis-traces", "Traces")}
    lasted = searches.query(
        "SELECT max(Duration) / 1e9 FROM otel_traces WHERE TraceId = {trace:String} AND SpanName = 'generation'",
        parameters={"trace": trace},
    ).result_rows[0][0]
    assert listed[trace] == pytest.approx(lasted, abs=1e-3)


def test_a_call_without_a_role_has_a_series_of_its_own_name(searches: Client) -> None:
    """If calls have no role, the series has a name that says so, and not one of Grafana's numbers."""
    searches.command(
        "INSERT INTO llm_logs (id, run_id, model, timestamp, cost) SELECT generateUUIDv4(), {run:String}, 'm', now64(3) - 60, 0.5",
        parameters={"run": RUN},
    )
    shown = rows(searches, "genesis-llm", "Cost by role")
    assert {row["role"] for row in shown} == {"mutation", "(not recorded)"}
    searches.command("DELETE FROM llm_logs WHERE model = 'm'")


def test_a_single_point_shows() -> None:
    """A line's points are drawn, and no line connects everything: without the points, a run of one moment would be invisible."""
    lines = [
        panel["fieldConfig"]["defaults"]["custom"] for _, panel in PANELS if panel["type"] in ("timeseries", "trend")
    ]
    assert all(each["showPoints"] == "always" and each["spanNulls"] is not True for each in lines) and len(lines) > 20


def test_only_nothing_costs_nothing() -> None:
    """An amount that its decimals would round to 0 is named as less than the least, and other units are not."""
    seen = 0
    for settings in _formats():
        decimals, mappings = settings.get("decimals"), settings.get("mappings", [])
        ranges = [each["options"] for each in mappings if each["type"] == "range"]
        if settings.get("unit") == "currencyUSD" and decimals is not None:
            seen += 1
            least = f"{10**-decimals:.{decimals}f}"
            assert [each["result"]["text"] for each in ranges] == [f"< ${least}"]
            assert 0 < ranges[0]["from"] < 1e-9 and f"{ranges[0]['to']:.{decimals}f}" == f"{0:.{decimals}f}" != least
        elif "unit" in settings:
            assert not ranges
    assert seen > 15


def _formats() -> Iterator[dict[str, Any]]:
    """How each panel, and each of its columns, writes numbers; a column has what its panel has, unless it says otherwise."""
    for _, panel in PANELS:
        config = panel.get("fieldConfig", {})
        yield config.get("defaults", {})
        for override in config.get("overrides", []):
            yield {**config["defaults"], **{each["id"]: each["value"] for each in override["properties"]}}


def test_bars_begin_at_zero() -> None:
    """A bar's length is its value, and so is the height of an area that others are stacked on."""
    drawn = [
        panel["fieldConfig"]["defaults"]["custom"]
        for _, panel in PANELS
        if panel["type"] == "barchart"
        or _custom(panel).get("drawStyle") == "bars"
        or _custom(panel).get("stacking", {}).get("mode") == "normal"
    ]
    assert all(each["axisSoftMin"] == 0 for each in drawn) and len(drawn) >= 8


def test_folded_rows_leave_no_gap() -> None:
    """Hidden panels leave no gap."""
    for board in BOARDS.values():
        for row, below in itertools.pairwise(board["panels"]):
            if row["type"] == "row":
                assert below["gridPos"]["y"] == row["gridPos"]["y"] + 1, (board["uid"], below["title"])


def _custom(panel: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
    return told


@pytest.mark.parametrize("uid", ["genesis-run", "genesis-llm"])
def test_most_of_a_long_dashboard_is_folded(uid: str) -> None:
    """At most 15 panels are open; the rest is queried when somebody opens its row."""
    board = BOARDS[uid]
    assert sum(panel["type"] != "row" for panel in board["panels"]) <= 15 < len(panels_of(board))
    assert all(panel["collapsed"] == bool(panel.get("panels")) for panel in board["panels"] if panel["type"] == "row")


def test_a_run_s_figures_are_those_of_the_search(searches: Client) -> None:
    """Best score, generation, improvements and breakthroughs as computed by hand."""
    assert value(searches, "genesis-run", "Best score") == 0.97
    assert value(searches, "genesis-run", "Generation") == "4 of 5"
    assert value(searches, "genesis-run", "Status", run=GOING_ON) == "stalled"
    assert value(searches, "genesis-run", "Failed individuals") == pytest.approx(1 / 13)
    assert value(searches, "genesis-run", "Cost") == pytest.approx(
        6 * value(searches, "genesis-run", "Cost per improvement")
    )
    assert {row["text"].split(":")[0] for row in rows(searches, "genesis-run", "Breakthroughs", "")} >= {"two_a", BEST}


def test_the_parts_of_a_generation_s_time_add_up_to_it(searches: Client) -> None:
    """Model, evaluation, waiting and the search itself add up to the seconds that the generation's span lasted."""
    parts = ("model", "evaluation", "waiting", "the search itself")
    lasted = {
        row["generation"]: row["seconds"]
        for row in searches.query(
            "SELECT toInt32(SpanAttributes['genesis.generation.number']) AS generation, Duration / 1e9 AS seconds FROM otel_traces"
            " WHERE SpanName = 'generation' AND SpanAttributes['genesis.run.id'] = {run:String}",
            parameters={"run": RUN},
        ).named_results()
    }
    (asked,) = (each for each in ASKED if str(each) == "genesis-llm/Where the time goes/A")
    values = {**chosen(BOARDS["genesis-llm"]), "run": (RUN,)}
    shown = list(answer(searches, asked, values, around_now()).named_results())
    assert {row["generation"] for row in shown} == set(lasted)
    for row in shown:
        assert sum(row[part] for part in parts) == pytest.approx(lasted[row["generation"]], abs=0.01)
        assert row["evaluation"] > 0 and min(row[part] for part in parts) >= 0
        assert (row["model"] > 0) == (row["generation"] > 0)


def test_how_answers_ended_and_who_gave_them_is_counted(searches: Client) -> None:
    """Finish reasons, providers and tokens per call are those of the calls, and evaluations took, and kept workers busy, as long as their spans."""
    calls = list(
        searches.query(
            "SELECT finish_reason, provider, input_tokens, output_tokens FROM llm_logs FINAL WHERE error = ''"
        ).named_results()
    )
    ended = Counter(call["finish_reason"] for call in calls if call["finish_reason"])
    shown: Counter[str] = Counter()
    for row in rows(searches, "genesis-llm", "Finish reasons"):
        shown[row["finish_reason"]] += row["calls"]
    assert shown == ended and len(ended) > 1
    asked = searches.query("SELECT provider, count() FROM llm_logs FINAL GROUP BY provider").result_rows
    assert {row["provider"]: row["calls"] for row in rows(searches, "genesis-llm", "By provider")} == {
        provider or "(not recorded)": count for provider, count in asked
    }
    means = rows(searches, "genesis-llm", "Tokens per call")
    for tokens in ("input", "output"):
        told = [call[f"{tokens}_tokens"] for call in calls if call[f"{tokens}_tokens"]]
        assert min(told) <= min(row[tokens] for row in means) <= max(row[tokens] for row in means) <= max(told)
    lasted = [
        seconds
        for (seconds,) in searches.query(
            "SELECT Duration / 1e9 FROM otel_traces"
            " WHERE SpanAttributes['genesis.record'] = 'evaluation' AND SpanAttributes['genesis.run.id'] = {run:String}",
            parameters={"run": RUN},
        ).result_rows
    ]
    took = rows(searches, "genesis-run", "Evaluation time")
    assert {row[share] for row in took for share in ("p50", "p95", "p99")} == set(lasted)
    busy = rows(searches, "genesis-run", "Workers busy")
    bucket = min((after["time"] - row["time"]).total_seconds() for row, after in pairwise(busy))
    assert sum(row["busy"] for row in busy) * bucket == pytest.approx(sum(lasted), rel=0.01)


def test_models_can_be_chosen(searches: Client) -> None:
    """With one model selected, the other's calls are excluded from every figure."""
    (asked,) = (each for each in ASKED if str(each) == "genesis-llm/By model/A")
    both = answer(searches, asked, chosen(BOARDS["genesis-llm"]), around_now()).result_rows
    one = answer(searches, asked, {**chosen(BOARDS["genesis-llm"]), "model": (MODELS[0],)}, around_now()).result_rows
    assert {row[0] for row in both} == set(MODELS) and [row[0] for row in one] == [MODELS[0]]


def test_a_time_range_is_kept_to(searches: Client) -> None:
    """Outside of it there are no calls."""
    (asked,) = (each for each in ASKED if str(each) == "genesis-llm/Calls/A")
    before = around_now().start
    earlier = TimeRange(before.replace(year=before.year - 1), before, 10)
    assert answer(searches, asked, chosen(BOARDS["genesis-llm"]), earlier).result_rows == [(0, 0)]


def test_the_tree_has_the_path_to_the_best(searches: Client) -> None:
    """Edges connect existing nodes; from the best, first parents lead to its seed."""
    nodes = {row["id"] for row in rows(searches, "genesis-lineage", "Tree", "nodes")}
    edges = rows(searches, "genesis-lineage", "Tree", "edges")
    assert all(edge["source"] in nodes and edge["target"] in nodes for edge in edges)
    steps = list(itertools.pairwise(LINEAGE_OF_BEST))
    assert set(steps) <= {(edge["source"], edge["target"]) for edge in edges}


def test_the_path_has_each_steps_gain_and_prompt(searches: Client) -> None:
    """From the seed to the best: gains that add up to the difference of the scores, and each step's prompt."""
    path = rows(searches, "genesis-lineage", "Path to the individual")
    assert [row["individual_id"] for row in path] == LINEAGE_OF_BEST
    assert sum(row["gain"] or 0 for row in path) == pytest.approx(0.97 - 0.40)
    assert path[0]["gain"] is None and all("Improve" in row["prompt"] for row in path[1:])
    assert value(searches, "genesis-lineage", "Steps from its seed") == 4
    assert value(searches, "genesis-lineage", "Children", individual="two_a") == 3


@pytest.fixture
def told_again(engine: Path) -> Iterator[Client]:
    """A client on a database with a run whose seed is recorded again in each generation: by itself after its child, and as copies."""
    client = connection.open_embedded(engine)
    client.command("CREATE DATABASE told_again")
    client.database = "told_again"
    schema.init_schema(client, traces_ttl_days=0)
    client.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, status, parent_id, span_id)"
        " SELECT {run:String}, told.1, told.2, told.3, now64(3) - 60 + told.4, told.5, told.6, told.7, toString(told.4) FROM (SELECT arrayJoin(["
        " ('seed', 0, 'initial', 0, 1., 'ok', ''), ('other', 0, 'initial', 1, 2., 'ok', ''), ('bad', 0, 'initial', 2, 0., 'incorrect', ''),"
        " ('one', 1, 'diff', 3, 3., 'ok', 'seed'), ('seed', 1, 'initial', 4, 1., 'ok', ''), ('moved', 1, 'copy', 5, 1., 'ok', 'seed'),"
        " ('fixed', 1, 'diff', 6, 5., 'ok', 'bad'), ('seed', 1, 'copy', 7, 1., 'ok', ''), ('two', 2, 'diff', 8, 7., 'ok', 'one'),"
        " ('other', 1, 'copy', 9, 2., 'ok', '')]) AS told)",
        parameters={"run": RUN},
    )
    client.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, span_id)"
        " SELECT run_id, individual_id, parent_id, generation, mutation_type, timestamp,"
        " if(parent_id = '', NULL, fitness_score - transform(parent_id, ['seed', 'bad', 'one'], [1., 0., 3.], 0.)), span_id FROM individuals"
    )
    yield client
    client.command("DROP DATABASE told_again SYNC")
    client.close()


def test_a_lineage_knows_survivors_copies_and_the_unwell(told_again: Client) -> None:
    """An individual that is recorded again is one individual, and comes before its children; a copy is no child and no dead end; and
    there is no gain over a parent that is incorrect."""
    path = rows(told_again, "genesis-lineage", "Path to the individual", individual="two")
    assert [(row["individual_id"], row["gain"]) for row in path] == [("seed", None), ("one", 2.0), ("two", 4.0)]
    # Of seed, other, bad, one and fixed, two have no child: other and fixed.
    assert value(told_again, "genesis-lineage", "Dead ends") == pytest.approx(2 / 5)
    assert value(told_again, "genesis-lineage", "Children", individual="seed") == 1
    assert [row["individual_id"] for row in rows(told_again, "genesis-lineage", "Its children", individual="seed")] == [
        "one"
    ]
    (fixed,) = rows(told_again, "genesis-lineage", "Its children", individual="bad")
    assert (fixed["individual_id"], fixed["gain"]) == ("fixed", None)
    drawn = {
        row["target"]: row["mainstat"] for row in rows(told_again, "genesis-lineage", "Tree", "edges", individual="two")
    }
    assert (drawn["two"], drawn["fixed"]) == ("+4", "")
    assert [row["individual_id"] for row in rows(told_again, "genesis-lineage", "Largest gains")] == ["two", "one"]


def test_a_compared_run_spent_what_it_spent_anywhere(told_again: Client) -> None:
    """The curve by cost has also the calls outside of generations, and in a generation without an individual; the page has the same."""
    told_again.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, told_at) VALUES ({run:String}, now64(3) - 100, 1)",
        parameters={"run": RUN},
    )
    told_again.command(
        "INSERT INTO llm_logs (id, run_id, generation, individual_id, timestamp, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, call.1, call.2, now64(3) - call.3, call.4, 'told', toString(call.4) FROM (SELECT arrayJoin(["
        " (NULL, '', 90, 1.), (1, 'one', 59, 2.), (5, '', 57, 4.), (2, 'two', 56, 8.), (2, '', 30, 16.)]) AS call)",
        parameters={"run": RUN},
    )
    drawn = [row["x"] for row in rows(told_again, "genesis-compare", "Score by cost")]
    points = named_queries.ask(told_again, "individual_points", run_id=RUN)
    assert drawn[-1] == points[-1]["spent"] == 15.0
    assert drawn == [3.0, 15.0, 15.0]


def test_runs_are_compared_by_their_best_so_far(searches: Client) -> None:
    """Each run's curve ends at its best score, by generation, cost and time."""
    for title in ("Score by generation", "Score by cost", "Score by wall time"):
        curves = rows(searches, "genesis-compare", title)
        last = {row["run_id"]: row for row in curves}
        assert {run: row["score"] for run, row in last.items()} == {RUN: 0.97, ODD: 0.97, GOING_ON: 0.5}
        xs = [row["x"] for row in curves if row["run_id"] == RUN]
        assert xs == sorted(xs)


def test_spans_without_their_parent_are_counted(searches: Client) -> None:
    """A span that ended hours ago and whose parent never arrived is shown under its run."""
    searches.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanAttributes)"
        " VALUES (now() - 5400, 'feed', 'beef', 'lost', 'x', map('genesis.run.id', 'orphaned'))"
    )
    shown = {row["run_id"]: row["spans"] for row in rows(searches, "genesis-pipeline", "Spans without a parent")}
    # Including the running search's: its generation has not ended.
    assert shown["orphaned"] == 1 and set(shown) <= {"orphaned", GOING_ON}


def test_everything_is_json_that_grafana_imports() -> None:
    """Each file is one dashboard with a uid, a schema version, and the variables that its queries use."""
    for uid, board in BOARDS.items():
        assert json.loads(json.dumps(board)) == board and board["schemaVersion"] >= 39
        variables = {each["name"] for each in board["templating"]["list"]}
        used = {name for asked in queries_of(board) for name in re.findall(r"\$\{?(?!__)(\w+)", asked.sql)}
        assert used <= variables, uid
        assert set(EVERYTHING) >= {each["name"] for each in board["templating"]["list"] if each.get("includeAll")}
