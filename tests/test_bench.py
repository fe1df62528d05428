"""The benchmark without its clock: every row agrees with NumPy, the generator is deterministic, the report's arithmetic is right."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from tests.bench import chart, drawn, report, rounds
from tests.bench.engines import ENGINES, PEERS, arrays_out, installed
from tests.bench.pool import Worker, environment
from tests.bench.row import KINDS, Row, arrays_of, compact, fault, reference
from tests.bench.rows import GROUPS, function_for, rows_in
from tests.bench.worker import Bench

pytest.importorskip("scipy")
SEED = drawn.DEFAULT_SEED
TINY = {f"{g}-{row.workload.name}": Row(g, row.workload, row.workload.tiny) for g in GROUPS for row in rows_in(g, SEED)}


def ours(row: Row, arrays: Any, **options: Any) -> list[np.ndarray]:
    symbols = [eg.tensor(f"x{i}", a.dtype, a.ndim) for i, a in enumerate(arrays)]
    return arrays_out(eg.compile(symbols, function_for("exprgraph", row, SEED)(*symbols), **options)(*arrays))


@pytest.mark.parametrize("device", ["numpy", "pocl"])
@pytest.mark.parametrize("name", TINY)
def test_row_agrees_with_numpy(name: str, device: str) -> None:
    row = TINY[name]
    if name == "named-prefix_sum" and not hasattr(eg, "cumsum"):
        pytest.skip("no eg.cumsum")
    arrays, meaning = arrays_of(row, 1), function_for("numpy", row, SEED)
    wanted = reference(meaning, arrays)
    assert fault(row, arrays_out(meaning(*arrays)), wanted) is None
    assert fault(row, ours(row, arrays, device=device), wanted) is None


def test_sets_are_large_enough_and_labels_differ() -> None:
    rows = [r for g in GROUPS for r in rows_in(g, SEED)]
    assert len({r.label for r in rows}) == len(rows)
    assert all(r.workload.kind in KINDS for r in rows)
    count = {g: len(rows_in(g, SEED)) for g in GROUPS}
    assert count["named"] == 26 and count["own"] >= 10 and count["random"] >= 5


def test_inputs_follow_from_the_seed() -> None:
    row = TINY["own-attention"]
    first, again, other = (arrays_of(row, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(20))
def test_drawn_rows_are_deterministic_and_agree(seed: int) -> None:
    assert drawn.described(seed) == drawn.described(seed) != drawn.described(seed + 1)
    for workload in drawn.workloads(seed):
        row = Row("random", workload, workload.tiny)
        arrays, meaning = arrays_of(row, seed), drawn.function_for("numpy", workload.name, seed)
        wanted = reference(meaning, arrays)
        symbols = [eg.tensor(f"x{i}", a.dtype, a.ndim) for i, a in enumerate(arrays)]
        f = eg.compile(symbols, drawn.function_for("exprgraph", workload.name, seed)(*symbols), device="numpy")
        assert fault(row, arrays_out(f(*arrays)), wanted) is None, workload.title


def test_faults_are_found() -> None:
    row = TINY["named-polynomial"]
    right = np.linspace(1, 2, 7)
    assert fault(row, [right.astype("float32")], [right]) is None
    assert "error" in str(fault(row, [(right * 1.001).astype("float32")], [right]))
    assert "float32" in str(fault(row, [right], [right]))
    assert "shape" in str(fault(row, [right[1:].astype("float32")], [right]))
    assert "outputs" in str(fault(row, [], [right]))
    assert fault(row, [np.full(7, np.nan, "float32")], [right]) is not None


def test_compact_sizes() -> None:
    assert [compact(n) for n in (7, 784, 1000, 1024, 100_000, 16_000_000)] == ["7", "784", "1e3", "1024", "1e5", "1.6e7"]


def test_geometric_mean() -> None:
    assert report.geometric_mean([1, 4]) == pytest.approx(2)
    assert math.isnan(report.geometric_mean([]))


@pytest.mark.parametrize(("kind", "elements", "ours_us", "best_us", "met"), [
    ("other", 1e3, 4.9, 3.0, True),
    ("other", 1e3, 5.1, 3.0, False),
    ("cheap", 1e5, 18.0, 9.2, True),
    ("cheap", 1e5, 19.0, 9.2, False),
    ("cheap", 1e6, 159.0, 80.0, True),
    ("cheap", 1e6, 161.0, 80.0, False),
    ("cheap", 1.6e7, 161.0, 160.0, False),
    ("product", 1e6, 100.0, 96.0, True),
    ("product", 1e6, 100.0, 94.0, False),
    ("other", 1e6, 100.0, 101.0, True),
    ("other", 1e6, 100.0, 99.0, False),
])
def test_targets(kind: str, elements: float, ours_us: float, best_us: float, met: bool) -> None:
    assert report.target(kind, elements, ours_us, best_us)[1] is met


def record(row: str = "a/1", **times: tuple[float, float]) -> dict[str, Any]:
    engines = {name: {"status": "ok", "compile_s": 0.5, "dropped": {"median": d, "min": d}, "kept": {"median": k, "min": k}}
               for name, (d, k) in times.items()}
    return {"group": "named", "row": row, "title": "a < b", "size": [1], "kind": "other", "elements": 1e6, "engines": engines}


def test_best_peer_is_chosen_for_each_mode() -> None:
    found = record(exprgraph=(100, 100), numpy=(300, 150), jax=(200, 400))
    first, second = (report.verdict(found, mode) for mode in ("dropped", "kept"))
    assert first is not None and (first.peer, first.ratio) == ("jax", 2)
    assert second is not None and (second.peer, second.ratio) == ("numpy", 1.5)


def test_a_disturbed_batch_is_repeated_and_the_quiet_one_kept() -> None:
    answers = [{"median": 900.0, "min": 10.0}, {"median": 12.0, "min": 11.0}, {"median": 30.0, "min": 11.0}, {"median": 31.0, "min": 11.0},
               {"median": 32.0, "min": 9.0}]
    asked: list[dict[str, Any]] = []

    class Quiet(Worker):
        def ask(self, **request: Any) -> dict[str, Any]:
            asked.append(request)
            return answers[len(asked) - 1]

    modes: dict[str, list[dict[str, Any]]] = {"dropped": [], "kept": []}
    rounds.take_turn(Quiet("numpy", {}), {}, modes, 0.0, 0)
    assert modes == {"dropped": [{"median": 12.0, "min": 10.0}], "kept": [{"median": 30.0, "min": 9.0}]}
    assert [request["keep"] for request in asked] == [False] * 2 + [True] * 3


def test_report_and_chart_hold_every_row() -> None:
    rows = [record("a/1", exprgraph=(100, 100), numpy=(400, 90)), record("b/1", exprgraph=(100, 100), numpy=(100, 100))]
    rows[1]["engines"]["jax"] = {"status": "wrong", "why": "relative error 1"}
    run = {"machine": {"cpu": "c", "cores": 2, "system": "s", "versions": {}}, "date": "d", "missing": ["numba"], "rows": rows}
    text = report.markdown(run)
    assert "geometric mean of best peer/ours 2.00" in text and "ahead in 1 of 2 rows" in text
    assert "dropped only" in text and "WRONG" in text and "relative error 1" in text and "numba" in text
    picture = chart.svg(rows)
    assert picture.count("<rect") == 3 and "a &lt; b" in picture


def test_merge_takes_rows_whole() -> None:
    runs = [{"rows": [record("a/1", exprgraph=(1, 1)), record("b/1", exprgraph=(2, 2))], "missing": ["jax", "torch"]},
            {"rows": [record("a/1", exprgraph=(3, 3))], "missing": ["jax"]}]
    both = report.merged(runs)
    assert {r["row"]: report.time_of(r, "exprgraph", "kept") for r in both["rows"]} == {"a/1": 3, "b/1": 2}
    assert both["missing"] == ["jax"]


def test_worker_prepares_times_and_survives_a_crash(tmp_path: Path) -> None:
    row = rows_in("named", SEED)[0]
    arrays = arrays_of(row, SEED)
    wanted = reference(function_for("numpy", row, SEED), arrays)
    np.save(tmp_path / "0.npy", wanted[0])
    np.save(tmp_path / "1.npy", wanted[0] + 1)
    request = {"do": "prepare", "group": "named", "row": row.label, "seed": SEED}
    worker = Worker("numpy", environment(None, None, False))
    try:
        assert worker.ask(**request, wanted=[str(tmp_path / "1.npy")])["status"] == "wrong"
        assert worker.ask(**request, wanted=[str(tmp_path / "0.npy")])["status"] == "ok"
        for keep in (True, False):
            times = worker.ask(do="batch", keep=keep, seconds=0.001)
            assert 0 < times["min"] <= times["median"]
        assert worker.ask(do="batch")["status"] == "crashed"
        assert worker.ask(**request, wanted=[str(tmp_path / "0.npy")])["status"] == "ok"
    finally:
        worker.close()


def test_what_an_engine_cannot_say_is_skipped() -> None:
    bench = Bench("numpy")
    bench.name = "numexpr"
    answer = bench.answer({"do": "prepare", "group": "named", "row": "product/64", "seed": SEED, "wanted": []})
    assert answer["status"] == "skipped"


@pytest.mark.campaign
@pytest.mark.parametrize("peer", [name for name in PEERS if name != "torch-compile"])
def test_peer_agrees_with_numpy(peer: str) -> None:
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    prepare = ENGINES[peer].open()
    for row in TINY.values():
        arrays, function = arrays_of(row, 1), function_for(peer, row, SEED)
        if function is not None:
            call, args = prepare(function, arrays)
            wrong = fault(row, arrays_out(call(*args)), reference(function_for("numpy", row, SEED), arrays))
            assert wrong is None, f"{row.label}: {wrong}"


def test_untimed_rows_are_gathered_by_reason() -> None:
    rows = [record("a/1", exprgraph=(1, 1)), record("b/1", exprgraph=(1, 1))]
    for r in rows:
        r["engines"]["numexpr"] = {"status": "skipped", "why": "no way"}
    assert report.untimed(rows) == ["numexpr skipped (no way): a/1, b/1"]


def test_peers_are_the_seven() -> None:
    peers = {"numpy", "numexpr", "numba", "numba-serial", "jax", "torch", "torch-compile", "pytensor"}
    assert set(PEERS) == peers == set(ENGINES) - {"exprgraph"}
