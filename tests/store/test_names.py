"""Names are defined once: the code emits and the SQL reads the same set."""

from __future__ import annotations

import re
from importlib import resources

from genesis_otel import attributes

EMITTED_FOR_OTHERS = {
    # For any OpenTelemetry backend; the tables use the JSON attribute with all metrics.
    attributes.EVENT_EVALUATION_RESULT,
    attributes.GEN_AI_EVALUATION_NAME,
    attributes.GEN_AI_EVALUATION_SCORE_VALUE,
    # The job's id is also in the details, where the reference has it.
    attributes.EVALUATION_JOB_ID,
    # On any span, and so in no table of its own.
    attributes.LEFT_OUT,
}


def constants() -> dict[str, str]:
    return {name: value for name, value in vars(attributes).items() if name.isupper() and isinstance(value, str)}


def sql() -> str:
    folder = resources.files("genesis_otel") / "sql"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return "\n".join(re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8")) for file in files)


def test_the_sql_reads_every_name_and_no_other() -> None:
    """Every attribute and event of ours occurs in the SQL, and the SQL names none of ours that ``attributes`` lacks."""
    read = {
        literal for literal in re.findall(r"'([^'\n]*)'", sql()) if re.fullmatch(r"genesis\.[a-z_.]+[a-z_]", literal)
    }
    emitted = {value for value in constants().values() if value.startswith("genesis.")}
    assert read - emitted == set()
    assert emitted - read == EMITTED_FOR_OTHERS & emitted


def test_the_sql_reads_the_current_names_of_llm_calls() -> None:
    """The view of ``llm_logs`` reads every ``gen_ai`` name that we emit."""
    named = {value for value in constants().values() if value.startswith("gen_ai.")}
    assert {value for value in named if f"'{value}'" not in sql()} == EMITTED_FOR_OTHERS & named


def test_every_record_is_read() -> None:
    """Every value of ``genesis.record`` is read by a view."""
    records = {value for name, value in constants().items() if name.startswith("RECORD_")}
    asked = set(re.findall(r"\['genesis\.record'\] (?:=|IN) (.*)", sql()))
    found = {literal for clause in asked for literal in re.findall(r"'(\w+)'", clause)}
    # A front that is logged separately is recognised by its event.
    assert records - found == {attributes.RECORD_PARETO_FRONT}
    assert found <= records


def test_no_name_stands_twice() -> None:
    """No two constants share a value, except for records and words that belong to other sets."""
    values = [value for name, value in constants().items() if not name.startswith(("RECORD_", "COST_"))]
    assert len(values) == len(set(values))
