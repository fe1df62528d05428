"""What the equality search claims, as checks: of one equality, wherever it applies, and of a graph before and after."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from exprgraph.close import close
from exprgraph.graph import order
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, leaf, make_constant
from exprgraph.passes import run_graph, run_plan
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.reference import evaluate
from exprgraph.search.egraph import Clock
from exprgraph.search.matching import CONSTANTS, applied, indexed, matches
from exprgraph.search.region_graph import built, read
from exprgraph.search.regions import Region
from tests.rule_cases import DTYPES, Array, assert_same_bits, specials

PAIRS = ((3.0, 5.0), (5.0, 3.0), (6.0, 3.0), (3.0, 6.0), (0.1, 0.3), (0.5, 4.0), (-7.0, 2.0), (1e30, 1e30), (1.5, -1.5), (4.0, 4.0),
         (0.0, 2.0), (-0.0, 3.0), (np.inf, 2.0), (np.nan, 1.0), (3e-39, 2.0), (100.0, 0.5))
"""Numbers for k and k2: some fold without rounding, some do not, some are beyond a dtype."""
WHOLE = ((8, 4), (16, 3), (3, 5), (1, 2), (127, 127), (0, 3), (64, 64), (2, 2))
BENIGN = np.array([0.3, 0.7, 1.1, 1.9, 2.6])


def counts(outputs: Sequence[Out]) -> dict[str, int]:
    """How often each elementwise row is computed."""
    return dict(sorted(Counter(n.op.name for n in order(outputs) if n.op.kind == "elementwise").items()))


def planned(outputs: Sequence[Out], level: str = "default", chosen: str = "") -> tuple[Out, ...]:
    """The outputs after both halves of the pipeline, all sizes as they are known."""
    leaves = tuple(Out(n) for n in order(outputs) if n.op in (INPUT, SHARED))
    options = {"optimizer": level, "chosen": chosen}
    return run_plan(run_graph(Graph(leaves, tuple(outputs)), options), {}, options).outputs


def forced(rule: Rule, left: Out) -> Out | None:
    """What an equality alone makes of an expression, whatever it costs; None where it does not apply."""
    nodes = tuple(n for n in order([left]) if n.op.kind == "elementwise")
    found = read(Region(nodes, (left.node,)), 1000)
    root = found.numbers[left.node, 0]
    for match in [m for m in matches(found.graph, indexed([rule]), Clock(100_000)) if m.root == root]:
        applied(found.graph, match)
        found.graph.restore()
        now = found.graph.find(root)
        choice = {n: next(iter(found.graph.terms[n])) for n in found.graph.classes()}
        new = [t for t in found.graph.terms[now] if found.graph.nodes.get(t) is not left.node]
        if new:
            choice[now] = new[0]
            return built(found, choice, (left.node,), lambda out: out)[left.node]
    return None


def cases(rule: Rule, dtype: str, points: Array) -> Any:
    """The left side on all combinations of points, for each pair of constants that the dtype has; with the values of its symbols."""
    names = [n for n in arguments(rule) if n not in CONSTANTS]
    grids = np.meshgrid(*(np.array([False, True]) if sort(n) == "condition" else points for n in names), indexing="ij")
    symbols = {n: Out(leaf(INPUT, "bool" if sort(n) == "condition" else dtype, (grids[0].size,), n)) for n in names}
    values = {symbols[n].node: np.ascontiguousarray(g.ravel()).astype(symbols[n].dtype) for n, g in zip(names, grids)}
    for k, k2 in (WHOLE if dtype[0] in "iu" else PAIRS) if len(names) < len(arguments(rule)) else ((0, 0),):
        with np.errstate(all="ignore"):
            numbers = {n: make_constant(v, dtype) for n, v in zip(CONSTANTS, (k, k2))}
        assert rule.pattern is not None
        yield rule.pattern(*(symbols[n] if n in symbols else numbers[n] for n in arguments(rule))), values


@np.errstate(all="ignore")
def check_exact(rule: Rule) -> None:
    """Every bit stays, in every dtype of the equality's kinds, on special values and, for one tensor, on all 8-bit integers."""
    applies = 0
    for dtype in [d for kind in rule.kinds for d in DTYPES[kind]]:
        points = specials(dtype)
        if dtype.endswith("int8") and sum(sort(n) == "tensor" and n not in CONSTANTS for n in arguments(rule)) == 1:
            points = np.arange(256).astype("uint8").view(dtype)
        for left, values in cases(rule, dtype, points[:12] if len(arguments(rule)) > 3 else points):
            right = forced(rule, left)
            if right is not None:
                applies += 1
                assert_same_bits(rule.name, *evaluate([left, right], values))
    assert applies, f"{rule.name}: applies nowhere"


@np.errstate(all="ignore")
def check_once(rule: Rule) -> None:
    """The right side is the float nearest to the exact value, for every pair of constants for which it applies; it does not for all."""
    points = np.concatenate([np.random.default_rng(5).standard_normal(40) * 10.0 ** np.arange(-20, 20), [1e300, -3.0, 0.1, 5e-300]])
    done = 0
    for left, values in cases(rule, "float64", points):
        right = forced(rule, left)
        if right is None:
            continue
        done += 1
        truth = [_exact(left, {n: Fraction(float(v[k])) for n, v in values.items()}) for k in range(len(points))]
        got = evaluate([right], values)[0]
        bad = [k for k, t in enumerate(truth) if abs(t) < Fraction(float(np.finfo("float64").max)) and float(t) != got[k]]
        assert not bad, f"{rule.name}: {got[bad[0]]!r} for {float(truth[bad[0]])!r} at {points[bad[0]]!r}"
        special = specials("float64")
        first, second = evaluate([left, right], dict.fromkeys(values, special))
        same = (np.isnan(first) == np.isnan(second)) & ((first != 0) | (second != 0) | (np.signbit(first) == np.signbit(second)))
        assert same.all(), f"{rule.name}: other NaNs or zeros at {special[~same]}"
    assert 0 < done < len(PAIRS), f"{rule.name}: applies to {done} pairs of constants"


def _exact(out: Out, values: Mapping[Node, Fraction]) -> Fraction:
    node = out.node
    if node in values:
        return values[node]
    if not node.inputs:
        return Fraction(float(evaluate([out], {})[0]))
    a, b = (_exact(i, values) for i in node.inputs)
    return {"add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b, "true_div": lambda: a / b}[node.op.name]()


@np.errstate(all="ignore")
def check_real(rule: Rule) -> None:
    """Both sides are the same real number at benign points where the left side has one."""
    applies = 0
    for left, values in cases(rule, "float64", BENIGN):
        right = forced(rule, left)
        if right is not None:
            first, second = evaluate([left, right], values)
            known = np.isfinite(first)
            applies += bool(known.any())
            np.testing.assert_allclose(second[known], first[known], rtol=1e-12, atol=1e-13, err_msg=rule.name)
    assert applies, f"{rule.name}: applies nowhere"


CHECKS = {"exact": check_exact, "stable": check_once, "real": check_real}


@np.errstate(all="ignore")
def check_graph(outputs: Sequence[Out], values: Mapping[Node, Array], level: str, chosen: str = "") -> tuple[Out, ...]:
    """What is planned has the values of the graph: to the bit where only exact equalities are known, else within its tolerance."""
    made = planned(outputs, level, chosen)
    if "-stable" in chosen:
        for before, after in zip(evaluate(planned(outputs, level, chosen + "\n-search"), values), evaluate(made, values)):
            assert_same_bits("search", before, after)
    else:
        close(evaluate(made, values), outputs, values)
    return made
