"""SUMS: every rule adds the same terms in another order; what that saves, and what stays as it was written."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close
from exprgraph.graph import order
from exprgraph.node import Graph, Out
from exprgraph.pairs import facts, pairs
from exprgraph.passes import run_graph, run_plan
from exprgraph.patterns import Rule
from exprgraph.rules.sums import SUMS
from tests.moving_examples import SUMS as EXAMPLES
from tests.sums_checks import check_sums

A, B, C, v = eg.matrix("A"), eg.matrix("B"), eg.matrix("C"), eg.vector("v")


@pytest.mark.parametrize("rule", SUMS, ids=lambda r: r.name)
def test_sums_rules_add_the_same_terms(rule: Rule) -> None:
    check_sums(rule, EXAMPLES[rule.name])


def test_every_sums_rule_has_examples() -> None:
    assert {r.name for r in SUMS} == set(EXAMPLES)


def planned(outcome: str, *outs: Out) -> list[str]:
    """The ops of a plan in which all pairs of sizes have one outcome."""
    graph = run_graph(Graph((A, B, C, v), outs), {})
    known = facts(pairs(graph), tuple(outcome for _ in pairs(graph)))
    return [n.op.name for n in order(run_plan(graph, known, {}).outputs)]


def outer() -> Out:
    """The product of A and B, as people write it who think in broadcasting."""
    return (A[:, :, None] * B[None]).sum(axis=1)


def test_sums_of_outer_products_are_products_of_matrices_and_so_are_their_gradients() -> None:
    names = planned("equal", outer(), *eg.grad(eg.sin(outer()).sum(), [A, B]))
    assert names.count("matmul") == 3 and "sum" not in names and "mul" not in names


def test_where_an_axis_turns_out_to_be_broadcast_the_sum_stays() -> None:
    assert "matmul" not in planned("left", outer()) and "sum" in planned("left", outer())


@pytest.mark.parametrize("make", [
    lambda: (A * B).sum(axis=1), lambda: (A * v).sum(axis=1), lambda: (v[:, None] * A[None]).sum(axis=0),
    lambda: (A[:, :, None] * B[None]).sum(axis=(0, 1)), lambda: (A[:, :, None] * B[None]).max(axis=1)],
    ids=["rows", "a vector", "one operand only", "two axes", "no sum"])
def test_what_is_no_product_of_matrices_stays(make) -> None:
    assert "matmul" not in planned("equal", make())


def test_a_product_that_something_else_reads_is_not_cut() -> None:
    y = A @ B
    assert planned("equal", y, y[:2]).count("matmul") == 1 == planned("equal", y[:2]).count("matmul")
    assert planned("equal", y[:2].sum(), eg.exp(y)[2:]).count("matmul") == 1


def test_the_outer_products_that_are_used_stay() -> None:
    y = A[:, :, None] * B[None]
    assert "matmul" not in planned("equal", y, y.sum(axis=1))


@pytest.mark.parametrize("device", ["numpy", "pocl"])
@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((3, 1), (4, 5)), ((3, 0), (0, 2)), ((1, 4), (4, 1))])
def test_values_of_sums_of_outer_products(device: str, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(s).astype("float32") for s in shapes)
    f = eg.compile([A, B], outer(), device=device)
    close([f(a, b)], [outer()], {A.node: a, B.node: b})


def test_a_sum_of_terms_is_as_written_A8() -> None:
    x = eg.dvector("x")
    f = eg.compile([x], (x[0] + x[1]) - x[0], device="numpy")
    assert f(np.array([1e17, 1.0])) == 0


