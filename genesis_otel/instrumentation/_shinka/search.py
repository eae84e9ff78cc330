"""What is known of a running ShinkaEvolve search, as spans: the run, its proposals, their evaluations, and other events.

In: shinka's own objects, as its methods are called, some of them in threads of its pools. Out: a generation and an individual per
proposal, ended when shinka has stored the program or given the proposal up; actions. shinka's objects are read but never changed,
except for a new program's id. On failure: each method logs its own errors once; the search continues.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from genesis_otel import spans
from genesis_otel._emit import opened, tally
from genesis_otel._emit.member import Member, front_of
from genesis_otel._emit.run import given_id
from genesis_otel._emit.stopper import Stopper
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._framework_config import as_json
from genesis_otel.instrumentation._hooks import quietly
from genesis_otel.instrumentation._shinka.programs import (
    KEPT,
    NOTHING,
    arms,
    chances,
    ids,
    metrics_of,
    noted_run,
    priced,
    read,
    stopped_by,
    task_name,
    without_score,
)

NOTE = "genesis_otel.json"
"""A file beside shinka's database that says which run is recorded there."""

COPIED_FROM = ("_original_program_id", "_spawned_from_program_id")
"""The keys under which the metadata of a copy on another island name the original."""

COSTS = {"api_cost": "api_costs", "embed_cost": "embed_cost", "novelty_cost": "novelty_cost"}
"""Columns, and what shinka's metadata call them."""

NOT_NEEDED = "the search ended first"


@dataclass(frozen=True)
class Options:
    """The arguments of `instrument`."""

    task: str | None = None
    run_id: str | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    stop_over_budget: bool | None = None


@dataclass
class Proposal:
    """A slot of shinka's that was started: its generation, which has one individual, and the job that evaluates it."""

    number: int
    folder: str
    """The folder in which shinka works on it."""
    generation: spans.Generation
    individual: spans.Individual
    evaluation: spans.Evaluation | None = None
    results: Mapping[str, Any] | None = None
    """The evaluator's results, as shinka loads them."""
    metadata: dict[str, Any] = field(default_factory=dict)
    is_ended: bool = False
    """Whether its individual has ended; its generation may continue with what the program gives rise to."""


class Search:
    """A search running in this process."""

    def __init__(self, runner: Any, options: Options, evaluator: str | None) -> None:
        evo, folder = runner.evo_config, Path(runner.results_dir).absolute()
        database, note = folder / "programs.sqlite", folder / NOTE
        before = noted_run(note) if database.exists() else None
        self.run = spans.run(
            options.task or task_name(evaluator or str(runner.job_config.eval_program_path or ""), folder),
            run_id=options.run_id or given_id() or before,
            config={
                "evo_config": as_json(evo),
                "job_config": as_json(runner.job_config),
                "db_config": as_json(runner.db_config),
                "max_evaluation_jobs": runner.max_evaluation_jobs,
                "max_proposal_jobs": runner.max_proposal_jobs,
                "max_db_workers": runner.max_db_workers,
            },
            cluster_type=str(evo.job_type),
            database_path=str(database),
            objectives=options.objectives,
            direction="max",
            budget=evo.max_api_costs,
        )
        self.continues = before == self.run.id
        """Whether the programs of the database are individuals of this run already."""
        self.stopper = Stopper(self.run, options.stop_over_budget)
        self.objectives = options.objectives
        self.tally = tally.run_tally(self.run.id)
        self.front: list[Member] = list(self.tally.front)
        self.proposals: dict[int, Proposal] = {}
        self.folders: dict[str, Proposal] = {}
        """The proposals by folder, by which jobs know them."""
        self.unscored: dict[str, str] = {}
        """Why programs have no score, which shinka stores as 0."""
        self.latest = 0
        self.time_limit = getattr(runner.job_config, "time", None)
        self.lock = threading.RLock()
        self._write(note)

    def _write(self, note: Path) -> None:
        try:
            note.write_text(json.dumps({"run_id": self.run.id}), encoding="utf-8")
        except OSError as error:
            warn_once("shinka note", "A resumed search will be a separate run: %s", error)

    @quietly
    def is_over(self, runner: Any) -> bool:
        """Whether no further proposal should start, because the budget is spent; shinka's own limit is then lowered."""
        if not self.stopper.is_due():
            return False
        # The cost by shinka's own prices may be 0, and shinka divides by it.
        runner.evo_config.max_api_costs = runner.total_api_cost or -1.0
        return True

    # --- proposals ----------------------------------------------------------------------------------------------------

    @quietly
    def begin(self, number: int, kind: str, folder: Path) -> Proposal:
        """A proposal starts; the seed may have started with the calls that write it."""
        known = self.proposals.get(number)
        if known is not None:
            return known
        generation = self.run.generation(number)
        begun = Proposal(number, str(folder.absolute()), generation, generation.individual(mutation_type=kind))
        self.proposals[number] = self.folders[begun.folder] = begun
        return begun

    @quietly
    def sampled(self, number: int, parent: Any, archive: Iterable[Any], top: Iterable[Any]) -> None:
        """Parent and inspirations of a proposal; those of the last attempt count."""
        begun = self.proposals.get(number)
        if begun is None or begun.is_ended:
            return
        begun.individual.parents = ids([parent])
        begun.metadata |= {"archive_inspiration_ids": ids(archive), "top_k_inspiration_ids": ids(top)}

    @quietly
    def attempted(self, told: Mapping[str, Any]) -> None:
        """A model has answered; a patch that cannot be applied becomes an action, with the reason."""
        begun = self.proposals.get(told.get("generation", -1))
        if begun is None or told.get("success"):
            return
        names = ("novelty_attempt", "resample_attempt", "patch_attempt")
        details = {"generation": begun.number, "individual_id": begun.individual.id, "error": told.get("error_msg")}
        begun.individual.action("patch_failed", {**details, **{name: told.get(name) for name in names}})

    @quietly
    def judged(self, folder: Path, accepted: bool, told: Mapping[str, Any]) -> None:
        """A proposal's novelty was judged."""
        begun = self.folders.get(str(folder.absolute()))
        if begun is None or accepted:
            return
        details = {
            "generation": begun.number,
            "individual_id": begun.individual.id,
            "max_similarity": told.get("max_similarity"),
            "cost": told.get("novelty_total_cost"),
            "response": told.get("novelty_explanation") or "",
        }
        begun.individual.action("novelty_rejected", details)

    @quietly
    def given_up(self, runner: Any, told: Mapping[str, Any]) -> None:
        """A proposal came to nothing before it was evaluated."""
        begun = self.proposals.get(told["generation"])
        if begun is None:
            return
        patch, stage = told.get("meta_patch_data") or {}, told["failure_stage"]
        failure_class = runner._classify_failed_proposal(
            failure_stage=stage, failure_reason=told["failure_reason"], meta_patch_data=patch
        )
        self.sampled(begun.number, told["parent_program"], told["archive_programs"] or (), told["top_k_programs"] or ())
        # The reason of a novelty rejection is the judge's whole answer.
        reason = "rejected as not novel" if stage == "novelty" else str(told["failure_reason"])
        begun.individual.record(
            code=read(Path(told["exec_fname"])),
            api_cost=priced(told["api_costs"]),
            embed_cost=priced(told["embed_cost"]),
            novelty_cost=priced(told["novelty_cost"]),
        )
        begun.metadata |= {"failure_stage": stage, "failure_class": failure_class}
        self._describe(begun, patch)
        details = {"generation": begun.number, "individual_id": begun.individual.id, "error": reason}
        begun.individual.action("proposal_failed", {**details, "stage": stage, "class": failure_class})
        self._fail(begun, f"{stage}: {reason}")
        self.completed(begun.number)

    @quietly
    def abandoned(self, number: int, why: BaseException | str) -> None:
        """A proposal that shinka does not count: it was cancelled, or nobody waits for its result. Its generation is not completed."""
        begun = self._leave(number)
        if begun is None or begun.is_ended:
            return
        reason = "cancelled" if not str(why) else str(why)
        begun.individual.action(
            "proposal_abandoned", {"generation": number, "individual_id": begun.individual.id, "error": reason}
        )
        if begun.evaluation is not None:
            begun.evaluation.fail(reason)
            begun.evaluation.end()
        self._fail(begun, reason)
        opened.closed(begun.generation)

    def _leave(self, number: int) -> Proposal | None:
        begun = self.proposals.pop(number, None)
        if begun is not None:
            self.folders.pop(begun.folder, None)
        return begun

    def _fail(self, begun: Proposal, reason: str) -> None:
        begun.individual.record(metadata=begun.metadata)
        begun.individual.fail(reason)
        begun.individual.end()
        begun.is_ended = True

    # --- evaluations --------------------------------------------------------------------------------------------------

    @quietly
    def submitting(self, program: Path) -> spans.Evaluation | None:
        """The job that evaluates a program is about to start."""
        begun = self.folders.get(str(program.parent.absolute()))
        if begun is None:
            return None
        begun.evaluation = begun.individual.evaluation(details={"exec_fname": str(program)})
        return begun.evaluation

    @quietly
    def loaded(self, results_folder: Path, results: Mapping[str, Any] | None) -> None:
        """A job has ended, with these results."""
        begun = self.folders.get(str(results_folder.parent.absolute()))
        if begun is not None:
            begun.results = results

    def _outcome(self, begun: Proposal, program: Any) -> tuple[float | None, str]:
        """The score, if any, and why the program has none or is not correct; an empty reason for one that ran but was incorrect."""
        found = begun.results or {}
        error = "" if program.correct else str((found.get("correct") or {}).get("error") or "")
        # shinka writes 0 if the evaluator left no score, and its own evaluator leaves 0 if a program crashed.
        without = "combined_score" not in (found.get("metrics") or {}) or (bool(error) and program.combined_score == 0)
        if without:
            error = error or without_score(found.get("stderr_log"), program.metadata or {}, self.time_limit)
            self.unscored[program.id] = error
        return None if without else program.combined_score, error

    def _evaluated(self, begun: Proposal, program: Any) -> tuple[float | None, str]:
        """End the job. Returns the score, if any, and why the program has none."""
        score, error = self._outcome(begun, program)
        job, found, told = begun.evaluation, begun.results or {}, program.metadata or {}
        if job is not None:
            public, private = program.public_metrics, program.private_metrics
            job.result(
                correct=bool(program.correct),
                combined_score=score,
                details={"source_job_id": told.get("source_job_id", "")},
                metadata={"public_metrics": public, "private_metrics": private, "text_feedback": program.text_feedback},
                output={"stdout": found.get("stdout_log") or "", "stderr": found.get("stderr_log") or ""},
            )
            if error:
                job.fail(error)
            job.end(end_time=told.get("evaluation_finished_at"))
        return score, error if score is None else ""

    # --- programs -----------------------------------------------------------------------------------------------------

    @quietly
    def naming(self, program: Any) -> None:
        """A program is about to be stored: it gets the id that its calls carry."""
        begun = self.proposals.get(program.generation)
        if begun is not None and not begun.is_ended:
            program.id = begun.individual.id

    @quietly
    def stored(self, program: Any) -> None:
        """A program of a proposal is in shinka's database."""
        begun = self.proposals.get(program.generation)
        if begun is None or begun.is_ended:
            return
        if begun.individual.id != program.id:
            begun.individual.id = program.id  # an earlier attempt to store it succeeded
        score, error = self._evaluated(begun, program)
        told = program.metadata or {}
        begun.individual.parents = ids([program.parent_id])
        begun.metadata |= {
            "archive_inspiration_ids": list(program.archive_inspiration_ids or ()),
            "top_k_inspiration_ids": list(program.top_k_inspiration_ids or ()),
        }
        begun.individual.record(
            combined=score,
            metrics=metrics_of(program),
            code=program.code,
            island=program.island_idx,
            correct=bool(program.correct),
            api_cost=priced(told.get("api_costs")),
            embed_cost=priced(told.get("embed_cost")),
            novelty_cost=priced(told.get("novelty_cost")),
        )
        self._describe(begun, told)
        if error:
            begun.individual.fail(f"evaluation failed: {error}")
        begun.individual.record(metadata=begun.metadata)
        with self.lock:
            if self.objectives:
                member = self._member(program, score, failed=bool(error))
                self.front = front_of(self.objectives, [*self.front, member])
                begun.individual.record(is_pareto=member in self.front)
            begun.individual.end(end_time=told.get("postprocess_finished_at"))
            begun.is_ended = True
            self.latest = begun.number

    def _describe(self, begun: Proposal, told: Mapping[str, Any]) -> None:
        """Record what shinka's metadata say about a proposal's patch."""
        if told.get("patch_type"):
            begun.individual.mutation_type = str(told["patch_type"])
        summary = next(
            (told[name] for name in ("patch_description", "patch_name") if told.get(name) not in NOTHING), None
        )
        begun.individual.record(edit_summary=summary)
        kept = {name: told[name] for name in KEPT if told.get(name) is not None}
        if told.get("novelty_explanation"):
            kept["response"] = told["novelty_explanation"]
        begun.metadata |= kept

    @quietly
    def completed(self, number: int, meta_cost: float | None = None) -> None:
        """Everything that a proposal gave rise to is done."""
        begun = self._leave(number)
        if begun is None:
            return
        with self.lock:
            if self.objectives:
                begun.generation.pareto_front(member.as_front_member() for member in self.front)
        begun.generation.end(metadata={"meta_cost": meta_cost} if meta_cost else None)

    @quietly
    def copied(self, program_id: str, island: int, original: Any) -> None:
        """A copy of a program is on another island; it is a separate individual, and may become a parent."""
        copy = spans.individual(
            program_id, parent_id=original.id, mutation_type="copy", generation=original.generation, run=self.run
        )
        begun = self.proposals.get(original.generation)
        if begun is not None and not begun.is_ended and begun.individual.id == original.id:
            self._outcome(begun, original)  # it is not stored yet
        error = self.unscored.get(original.id)
        copy.record(
            combined=None if error else original.combined_score,
            metrics=metrics_of(original),
            code=original.code,
            island=island,
            correct=bool(original.correct),
            fitness_delta=None if error else 0.0,
            edit_summary=f"Copied to island {island}",
        )
        if error:
            self.unscored[program_id] = error
            copy.fail(f"evaluation failed: {error}")
        copy.end()

    @quietly
    def spawned(self, program_id: str, island: int, source: Mapping[str, Any]) -> None:
        """The same, for a row of shinka's database, on an island that is founded anew."""
        metrics = [json.loads(source.get(name) or "{}") for name in ("private_metrics", "public_metrics")]
        told = {"private_metrics": metrics[0], "public_metrics": metrics[1], "metadata": {}}
        original = SimpleNamespace(**{**source, **told})
        self.copied(program_id, island, original)

    @quietly
    def restored(self, database: Any) -> None:
        """The search continues from a database: its programs' scores count, and the front is theirs."""
        known = {member.individual_id for member in self.front}
        recorded = set(self.tally.fitness)
        for program in database.get_all_programs():
            member = self._member(program, program.combined_score, failed=False)
            self.tally.learn(member)
            if self.objectives and member.counts and program.id not in known:
                self.front.append(member)
        if self.objectives:
            self.front = front_of(self.objectives, self.front)
        if not self.continues:
            self._restore(database.get_all_programs(), recorded)

    def _restore(self, programs: Sequence[Any], recorded: set[str]) -> None:
        """Record programs that no search of this run has found, nor restored, in generation 0."""
        new = [program for program in programs if program.id not in recorded]
        if not new:
            return
        generation = self.run.generation(0)
        known, on_front = {each.id for each in programs}, {member.individual_id for member in self.front}
        for program in sorted(new, key=lambda each: (each.generation, each.timestamp)):
            told = program.metadata or {}
            copied = next((told[name] for name in COPIED_FROM if name in told), None)
            parent = program.parent_id if copied is None else copied
            individual = generation.individual(
                program.id,
                parent_id=parent if parent in known else "",
                mutation_type="restored" if copied is None else "copy",
            )
            without = program.combined_score == 0 and not metrics_of(program)
            individual.record(
                combined=None if without else program.combined_score,
                metrics=metrics_of(program),
                code=program.code,
                island=program.island_idx,
                correct=bool(program.correct),
                is_pareto=program.id in on_front if self.objectives else None,
                metadata={"generation": program.generation, "patch_type": told.get("patch_type")},
                **({} if copied else {name: told.get(of) for name, of in COSTS.items()}),
            )
            if without:
                self.unscored[program.id] = "the evaluator left no score"
                individual.fail("evaluation failed: the evaluator left no score")
            individual.end()
        if self.objectives:
            generation.pareto_front(member.as_front_member() for member in self.front)
        generation.end()

    def _member(self, program: Any, score: float | None, *, failed: bool) -> Member:
        told = program.metadata or {}
        copied = any(name in told for name in COPIED_FROM)
        size = float(len(program.code.encode("utf-8", "backslashreplace")))
        return Member(program.id, score, score, metrics_of(program), size, 0.0, failed, not program.correct, copied)

    # --- what else happens --------------------------------------------------------------------------------------------

    @quietly
    def act(self, action_type: str, details: Mapping[str, Any], number: int | None = None) -> None:
        """Something happened that is neither a proposal nor a program."""
        at = self.latest if number is None else number
        spans.action(action_type, {"generation": at, **details}, run=self.run, generation=at)

    @quietly
    def archive_changed(self, program: Any, before: set[str], after: set[str]) -> None:
        """A program may have entered the archive, and another may have left it."""
        if before != after:
            changes = {"added": sorted(after - before), "removed": sorted(before - after)}
            told = {"individual_id": program.id, **changes, "archive_size": len(after)}
            self.act("archive_updated", told, program.generation)

    @quietly
    def best_changed(self, program: Any, before: str | None, after: str | None) -> None:
        """A program may be the best so far."""
        if before != after:
            told = {"individual_id": after, "previous": before or "", "combined_score": program.combined_score}
            self.act("best_updated", told, program.generation)

    @quietly
    def prompt_evolved(self, prompt: Any, kind: str, cost: float) -> None:
        """A model has rewritten shinka's system prompt, or failed to."""
        told = {
            "prompt_id": getattr(prompt, "id", ""),
            "patch_type": kind,
            "cost": cost,
            "succeeded": prompt is not None,
        }
        self.act("prompt_evolved", {**told, "response": getattr(prompt, "prompt_text", "")})

    @quietly
    def selected(self, bandit: Any, number: int | None = None, program: Any = None) -> None:
        """The state of the model selection: one row per model; for a program, with the probabilities by which its model was chosen."""
        if bandit is not None:
            models = arms(bandit, {} if program is None else chances(program))
            self.act("model_selection", {"strategy": type(bandit).__name__, "models": models}, number)

    def place_of(self, number: int) -> spans.Generation | spans.Run:
        """Where calls of a finished proposal belong that are not the individual's."""
        begun = self.proposals.get(number)
        return self.run if begun is None else begun.generation

    @quietly
    def end(self, runner: Any, error: BaseException | None) -> None:
        """The search has ended: by itself, for a reason, or with an exception."""
        for number in [number for number, begun in self.proposals.items() if begun.is_ended]:
            self.completed(number)
        open_ones = sorted(self.proposals)
        for number in open_ones:
            self.abandoned(number, error or NOT_NEEDED)
        self.selected(runner.llm_selection)
        reason = "over_budget" if self.stopper.stops else stopped_by(runner)
        reason = reason if error is None else type(error).__name__
        if reason or open_ones:
            self.act("search_stopped", {"reason": reason or "done", "abandoned": open_ones})
        if error is not None:
            self.run.fail(error if str(error) else f"interrupted: {type(error).__name__}")
        self.run.end(total_generations=runner.completed_generations)
