"""A run: every row is prepared by every engine, then timed in rounds in which the engines take turns."""
from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.bench.engines import BESIDE, OURS
from tests.bench.pool import Worker
from tests.bench.row import Row, arrays_of, elements_of, reference
from tests.bench.rows import function_for

MODES = {"dropped": False, "kept": True}
HOPELESS = 3.0  # an engine that many times slower than the fastest peer is not asked after the first round
DISTURBED, TRIES = 2.0, 3  # a batch in which a call typically takes that much longer than it can is repeated, for every engine alike

Found = dict[str, Any]


class Plan(NamedTuple):
    """How to run: rounds, the seconds of a batch, the seed of inputs and drawn rows."""

    rounds: int
    seconds: float
    seed: int


def run(rows: Iterable[Row], workers: Sequence[Worker], plan: Plan) -> list[Found]:
    """Time the rows; one record for each."""
    found = []
    for row in rows:
        found.append(run_row(row, workers, plan))
        print(summary(found[-1]), file=sys.stderr, flush=True)
    return found


def prepare_only(rows: Iterable[Row], workers: Sequence[Worker], plan: Plan) -> list[Found]:
    """Compile and check the rows without timing them; this fills the compilers' caches."""
    return [prepared(row, workers, plan) for row in rows]


def run_row(row: Row, workers: Sequence[Worker], plan: Plan) -> Found:
    """Prepare and time one row in all engines."""
    record = prepared(row, workers, plan)
    time_rounds([w for w in workers if record["engines"][w.engine]["status"] == "ok"], record["engines"], plan)
    return record


def prepared(row: Row, workers: Sequence[Worker], plan: Plan) -> Found:
    """The record of a row once every engine has compiled it and its result was checked."""
    arrays = arrays_of(row, plan.seed)
    record: Found = {"group": row.group, "row": row.label, "title": row.workload.title, "size": row.size, "kind": row.workload.kind,
                     "elements": elements_of(arrays)}
    with tempfile.TemporaryDirectory(prefix="exprgraph-bench-") as folder:
        wanted = save(Path(folder), reference(function_for("numpy", row, plan.seed), arrays))
        del arrays
        record["engines"] = {w.engine: w.ask(do="prepare", group=row.group, row=row.label, seed=plan.seed, wanted=wanted)
                             for w in workers}
    return record


def save(folder: Path, results: Sequence[np.ndarray]) -> list[str]:
    """The reference as files, which the workers map into memory."""
    names = [str(folder / f"{i}.npy") for i in range(len(results))]
    for name, result in zip(names, results, strict=True):
        np.save(name, result)
    return names


def time_rounds(workers: Sequence[Worker], engines: Found, plan: Plan) -> None:
    """Let the engines take turns, and put their times into their records."""
    batches: dict[str, dict[str, list[Found]]] = {w.engine: {mode: [] for mode in MODES} for w in workers}
    for turn in range(plan.rounds):
        for i in range(len(workers)):
            worker = workers[(turn + i) % len(workers)]
            if engines[worker.engine]["status"] == "ok" and (turn == 0 or not hopeless(worker.engine, batches)):
                take_turn(worker, engines, batches[worker.engine], plan.seconds, turn)
    for engine, modes in batches.items():
        if engines[engine]["status"] == "ok":
            engines[engine].update({mode: totals(found) for mode, found in modes.items()})


def take_turn(worker: Worker, engines: Found, modes: dict[str, list[Found]], seconds: float, turn: int) -> None:
    """One batch in each mode, the mode that goes first alternating."""
    for mode in sorted(MODES, reverse=bool(turn % 2)):
        answers: list[Found] = []
        while not answers or (len(answers) < TRIES and disturbed(answers[-1], [*modes[mode], *answers])):
            answers.append(worker.ask(do="batch", keep=MODES[mode], seconds=seconds))
            if answers[-1].get("status") == "crashed":
                engines[worker.engine] = answers[-1]
                return
        modes[mode].append({**min(answers, key=lambda b: b["median"]), "min": min(b["min"] for b in answers)})


def disturbed(batch: Found, known: Sequence[Found]) -> bool:
    """Whether something else had the cores: the typical call took over twice as long as the shortest that this engine has shown."""
    return bool(batch["median"] > DISTURBED * min(b["min"] for b in known))


def hopeless(engine: str, batches: dict[str, dict[str, list[Found]]]) -> bool:
    """Whether a peer cannot become the fastest any more, judged by its shortest calls, which other programs disturb least."""
    times = {name: modes["dropped"][0]["min"] for name, modes in batches.items() if modes["dropped"] and name != OURS}
    others = [t for name, t in times.items() if name not in BESIDE] or [*times.values()]
    return engine != OURS and times[engine] > HOPELESS * min(others)


def totals(found: Sequence[Found]) -> Found:
    """The median of the batches' medians and the shortest call of all, in microseconds."""
    return {"median": statistics.median(b["median"] for b in found), "min": min(b["min"] for b in found), "rounds": len(found)}


def summary(record: Found) -> str:
    """One line for a row as soon as it is known."""
    parts = [f"{name} {e['dropped']['median']:.4g}" if "dropped" in e else f"{name} {e['status']}" for name, e in record["engines"].items()]
    return f"{record['row']:32} {'  '.join(parts)}"
