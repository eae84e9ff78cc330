"""What a process remembers about its runs: the fitness of individuals, and the totals of generations.

In: individuals as they end, costs as calls end, and the notes that earlier processes kept on a run. Out: fitness deltas, a
generation's statistics, cost and front, and notes from which another process can resume.
On failure: nothing that a search passes in makes this raise; memory is bounded, and what was forgotten counts as unknown.
No lock is taken, so a fork never inherits a held one: lists and dicts are only appended to, set and popped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from weakref import ref

from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit import configured
from genesis_otel._emit.budget import Spending
from genesis_otel._emit.configured import Memory, Note
from genesis_otel._emit.context import Place
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.member import Member
from genesis_otel._emit.values import keep, text
from genesis_otel._log import warn_once

RUNS_KEPT = 64
"""Maximum runs that a process remembers; it rarely has more than one."""

FITNESS_KEPT = 200_000
"""Maximum individuals per run whose fitness is remembered, the latest ones: some 30 MB."""

EMBEDDINGS = frozenset({"embeddings", "embedding", "aembedding"})
"""What instrumentations call an embedding."""
API, EMBED, NOVELTY = range(3)
"""The cost columns of an individual, as positions in its sums."""


class RunTally:
    """A run, as far as this process knows it. Not a dataclass: that takes a millisecond of every program's start."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.task = ""
        self.objectives: Mapping[str, str] = {}
        self.direction = "max"
        self.is_directed = False
        """Whether the direction is known, from the search or from the notes."""
        self.fitness: dict[str, float | None] = {}
        """Of the latest individuals; None if they have none."""
        self.generations: dict[int | str, None] = {}
        self.best: float | None = None
        """The best score so far."""
        self.front: list[Member] = []
        """The front reported by the latest generation, as far as its members are known."""
        self.is_known = False
        """Whether this process began it, or has recorded an individual of it."""
        self.noted_front: list[str] = []
        self.begun: dict[int | str, list[Member]] = {}
        """From earlier processes: the ended individuals of each generation that has not ended."""
        self.begun_calls: dict[int | str, list[tuple[int, float]]] = {}
        """And the costs of its calls outside of individuals."""
        self.spending = Spending(run_id)

    def remember(self, member: Member, generation: int | str | None, called: float) -> None:
        """Keep an individual's fitness for its children, and its score if it is the best.

        :param called: what its calls cost, which may be more than it reports.
        """
        self.is_known = True
        self.learn(member)
        note: dict[str, Any] = {"individual": member.as_note(), "generation": generation}
        if called > member.cost:
            note["paid"] = called
        _note(self.run_id, note)

    def learn(self, member: Member) -> None:
        """The same, for an individual that is already in the notes."""
        if member.fitness is not None or member.individual_id not in self.fitness:
            keep(self.fitness, member.individual_id, member.fitness, FITNESS_KEPT)
        score = member.score
        if score is not None:
            self.best = score if self.best is None else self.best_of((self.best, score))

    def completed(self, generation: int | str | None, front: list[dict[str, Any]] | None, paid: float) -> None:
        """Note that a generation has ended, with the front that it reported, and what was paid in it that no other note says."""
        note: dict[str, Any] = {"completed": generation}
        if paid > 0:
            note["paid"] = paid
        if front is not None:
            members = [text(member.get("individual_id")) for member in front]
            if members != self.noted_front:
                self.noted_front = note["front"] = members
        _note(self.run_id, note)

    def direct(self, direction: str) -> None:
        """Set the direction, and note it for the run's other processes."""
        self.direction, self.is_directed = direction, True
        _note(self.run_id, {"direction": direction})

    def recall(self) -> None:
        """Load what earlier processes kept on the run."""
        known: dict[str, Member] = {}
        for note in self._notes():
            generation = note.get("generation")
            if "direction" in note and not self.is_directed:
                self.direction, self.is_directed = note["direction"], True
            if "individual" in note:
                member = Member.of_note(note["individual"])
                known[member.individual_id] = member
                self.spending.paid_before(note.get("paid", member.cost))
                self.learn(member)
                if generation is not None:
                    self.begun.setdefault(generation, []).append(member)
            elif "completed" in note:
                self.spending.paid_before(note.get("paid", 0.0))
                self.begun.pop(note["completed"], None)
                self.begun_calls.pop(note["completed"], None)
                self.generations[note["completed"]] = None
                if "front" in note:
                    self.front = [known[name] for name in note["front"] if name in known]
            elif "paid" in note:
                self.spending.paid_before(note["paid"])
                if generation is not None:
                    self.begun_calls.setdefault(generation, []).append((API, note["paid"]))

    def _notes(self) -> Iterable[Note]:
        memory = _memory()
        return memory.recall(self.run_id) if memory is not None else ()

    def best_of(self, scores: Iterable[float]) -> float:
        """The best of some scores, by the run's direction; where another process began the run, that is in its notes."""
        if not self.is_directed:
            self.is_directed = True
            noted = (note["direction"] for note in self._notes() if "direction" in note)
            self.direction = next(noted, self.direction)
        return min(scores) if self.direction == "min" else max(scores)

    def delta(self, fitness: float | None, parent_id: str) -> float | None:
        """Fitness minus that of the parent, if both are known."""
        of_parent = self.fitness.get(parent_id)
        return None if fitness is None or of_parent is None else fitness - of_parent


def _memory() -> Memory | None:
    telemetry = configured.current()
    return None if telemetry is None else telemetry.memory


def _note(run_id: str, note: Note) -> None:
    memory = _memory()
    if memory is not None and run_id:
        try:
            memory.keep(run_id, note)
        except Exception as error:
            pass_on(error)
            warn_once("memory", "What is needed to resume a run could not be kept", exc_info=True)


Release = Callable[[bool | None], None]
"""Ends the span of a held individual; its argument is whether the individual is on the front, None if there is no front."""


class Holder(Protocol):
    """Keeps held individuals safe if this process dies: the ship layer's, if that is set up (:func:`hold_with`)."""

    def on_hold(self, of: object, span: Span, attributes: Mapping[str, Any], end_time: int) -> None:
        """An individual has ended and is held by the generation ``of``: this is its span as it stands. Called again, it stands otherwise."""

    def on_release(self, of: object, span: Span) -> None:
        """The held individual's span has ended."""

    def on_all_released(self, of: object) -> None:
        """The generation ``of`` no longer holds any individuals."""


_holder: Holder | None = None


def hold_with(holder: Holder | None) -> None:
    """From now on, report held individuals to ``holder``; None reports to nobody."""
    global _holder
    _holder = holder


class OpenIndividual:
    """An individual that has not ended, with the costs of its calls and the verdict of its latest evaluation."""

    __slots__ = ("__weakref__", "calls", "closed", "correct", "span", "unpriced")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.calls: list[tuple[int, float]] = []
        self.unpriced = False
        self.closed = False
        self.correct: bool | None = None


class OpenGeneration:
    """A generation that has not ended, with its ended individuals, and the calls of individuals that are not open here."""

    __slots__ = ("__weakref__", "calls", "front", "held", "members", "span")

    def __init__(self, span: Span, *, hold: bool) -> None:
        self.span = span
        self.members: list[Member] = []
        self.calls: dict[str, list[tuple[int, float]]] = {}
        self.front: list[dict[str, Any]] | None = None
        self.held: list[tuple[str, Span, Release]] | None = [] if hold else None

    def hold(self, individual_id: str, span: Span, attributes: Mapping[str, Any], ended: int, release: Release) -> bool:
        """Hold an ended individual until the generation ends; false if this generation does not hold its individuals."""
        held = self.held
        if held is None:
            return False
        if _holder is not None:
            _holder.on_hold(self, span, attributes, ended)
        held.append((individual_id, span, release))
        if self.held is None:
            # Another thread has ended the generation meanwhile.
            self._let_go(held)
        return True

    def hold_again(self, span: Span, attributes: Mapping[str, Any], ended: int) -> None:
        """Hold an individual as it is about to end: if this process dies before it is released, it is delivered in both forms, and this one
        may be the last."""
        if _holder is not None:
            _holder.on_hold(self, span, attributes, ended)

    def release(self) -> None:
        """End the held individuals."""
        held, self.held = self.held, None
        self._let_go(held or [])

    def _let_go(self, held: list[tuple[str, Span, Release]]) -> None:
        on_front = {member.get("individual_id") for member in self.front or ()}
        while held:
            try:
                individual_id, span, release = held.pop(0)
            except IndexError:
                break
            release(None if self.front is None else individual_id in on_front)
            if _holder is not None:
                _holder.on_release(self, span)
        if _holder is not None:
            _holder.on_all_released(self)

    def latest(self) -> list[Member]:
        """The ended individuals, each as it ended last: a resumed search may evaluate some again."""
        return list({member.individual_id: member for member in self.members}.values())

    def cost(self) -> float:
        """The cost in USD so far of individuals and of calls outside them."""
        outside = (cost for calls in list(self.calls.values()) for _, cost in calls)
        return sum(outside, sum(member.cost for member in self.members))

    def late(self) -> float:
        """The cost in USD of calls that ended after their individual: nothing else notes them."""
        return sum(cost for of, calls in list(self.calls.items()) if of for _, cost in calls)

    def scores(self) -> list[float]:
        """The scores of the members that count."""
        return [one.score for one in self.latest() if one.score is not None]


_RUNS: dict[str, RunTally] = {}
# Not a WeakValueDictionary: Python swallows what a signal handler raises while an entry is being removed.
_GENERATIONS: dict[tuple[str, int | str | None], ref[OpenGeneration]] = {}
_INDIVIDUALS: dict[tuple[str, str], ref[OpenIndividual]] = {}
OPEN_KEPT = 100_000
"""Maximum open generations, and individuals, that are tracked, including those that were dropped without being ended."""


def resume(run: RunTally) -> None:
    """Begin a run, or continue it with what earlier processes kept on it; its direction must be known by now."""
    if run.is_known:
        return
    run.is_known = True
    try:
        run.recall()
    except Exception as error:
        pass_on(error)
        warn_once("recall", "The notes on a run's earlier parts could not be loaded", exc_info=True)


def run_tally(run_id: str) -> RunTally:
    """What is remembered about a run; if there are too many, the oldest entry is forgotten."""
    known = _RUNS.get(run_id)
    if known is None:
        known = RunTally(run_id)
        keep(_RUNS, run_id, known, RUNS_KEPT)
    return known


def open_generation(place: Place, span: Span, *, hold: bool) -> OpenGeneration:
    """Register a generation that begins; ``hold`` makes it hold its individuals."""
    opened = OpenGeneration(span, hold=hold)
    keep(_GENERATIONS, (place.run_id, place.generation), ref(opened), OPEN_KEPT)
    return opened


def open_individual(run_id: str, individual_id: str, opened: OpenIndividual) -> None:
    """Register an individual that begins, or that has a new id from now on."""
    keep(_INDIVIDUALS, (run_id, individual_id), ref(opened), OPEN_KEPT)


def generation_at(place: Place) -> OpenGeneration | None:
    """The generation of ``place``, if it is open in this process."""
    known = _GENERATIONS.get((place.run_id, place.generation))
    return known() if known is not None else None


def close_generation(place: Place, opened: OpenGeneration) -> None:
    """Unregister a generation that ends: no more costs are added to it."""
    if generation_at(place) is opened:
        _GENERATIONS.pop((place.run_id, place.generation), None)


def individual_at(place: Place) -> OpenIndividual | None:
    """The individual of ``place``, if it is open in this process."""
    known = _INDIVIDUALS.get((place.run_id, place.individual_id))
    found = known() if known is not None else None
    return None if found is None or found.closed else found


def close_individual(place: Place, opened: OpenIndividual) -> list[tuple[int, float]]:
    """Unregister an individual that ends, and return the costs of its calls."""
    opened.closed = True
    known = _INDIVIDUALS.get((place.run_id, place.individual_id))
    if known is not None and known() is opened:
        _INDIVIDUALS.pop((place.run_id, place.individual_id), None)
    generation = generation_at(place)
    if generation is not None and place.individual_id in generation.calls:
        return [*opened.calls, *generation.calls.pop(place.individual_id, [])]
    return opened.calls


def is_embedding(attributes: Mapping[str, Any]) -> bool:
    """Whether an LLM call is an embedding; LiteLLM uses its own names for it."""
    return (
        attributes.get(names.GEN_AI_OPERATION_NAME) in EMBEDDINGS
        or attributes.get("openinference.span.kind") == "EMBEDDING"
        or attributes.get("llm.request.type") in EMBEDDINGS
    )


def account_unpriced(attributes: Mapping[str, Any]) -> None:
    """Note that a call, identified by its span's ``attributes``, has no price: its run's cost is then unknown."""
    place = Place.of(attributes.get)
    individual = individual_at(place) if place.individual_id else None
    if individual is not None:
        individual.unpriced = True
    run = _RUNS.get(place.run_id)
    if run is not None:
        run.spending.miss_price()


def account(attributes: Mapping[str, Any], cost: float) -> None:
    """Add the cost of an LLM call, identified by its span's ``attributes``, to the individual or generation that they name.

    Embeddings count as embedding cost, calls with the role ``novelty`` as novelty cost, all others as API cost.
    """
    if not cost or not math.isfinite(cost):
        return
    kind = EMBED if is_embedding(attributes) else NOVELTY if attributes.get(names.LLM_ROLE) == "novelty" else API
    place = Place.of(attributes.get)
    individual = individual_at(place) if place.individual_id else None
    generation = None if individual is not None else generation_at(place)
    if individual is not None:
        individual.calls.append((kind, cost))
    elif generation is not None:
        generation.calls.setdefault(place.individual_id, []).append((kind, cost))
    # Last, so that when the budget callback runs, the cost is already where it belongs.
    run = _RUNS.get(place.run_id)
    if run is not None:
        if not place.individual_id:
            _note(place.run_id, {"paid": cost, "generation": place.generation})
        run.spending.pay(cost)


def sums(calls: Iterable[tuple[int, float]]) -> list[float]:
    """The costs of calls by kind."""
    total = [0.0, 0.0, 0.0]
    for kind, cost in calls:
        total[kind] += cost
    return total


def statistics_of(
    run: RunTally, members: Iterable[Member], scores: list[float]
) -> tuple[dict[str, float], dict[str, Any]]:
    """A generation's best and mean score as attributes, and its further statistics as metadata."""
    metadata: dict[str, Any] = {
        "failed": sum(member.failed for member in members),
        "incorrect": sum(member.incorrect and not member.failed for member in members),
    }
    if run.best is not None:
        metadata["best_so_far"] = run.best
    if not scores:
        return {}, metadata
    mean, median, deviation = _mean_median_deviation(scores)
    metadata |= {"median_score": median, "std_dev": deviation}
    return {names.GENERATION_BEST_SCORE: run.best_of(scores), names.GENERATION_AVG_SCORE: mean}, metadata


def _mean_median_deviation(scores: list[float]) -> tuple[float, float, float]:
    if len(scores) == 1:
        # An iteration of OpenEvolve or GEPA: the exact sums below would take a tenth of a millisecond, and loading them 4.
        return scores[0], scores[0], 0.0
    import statistics

    return statistics.mean(scores), statistics.median(scores), statistics.pstdev(scores)
