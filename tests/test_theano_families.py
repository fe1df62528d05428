"""Every optimisation that Theano names is covered, with an example, or is not, with a reason; the page says what the tests say."""
from __future__ import annotations

import functools
import operator
import re
from pathlib import Path
from typing import Any

import pytest

import exprgraph as eg
from codegen.generate import generate, uncertain
from codegen.plan import Branch, HostCall, Launch
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.pairs import facts, pairs
from exprgraph.passes import GRAPH, run_graph, run_plan
from exprgraph.rules.catalogue import words
from tests.plan_runner import CPU
from tests.theano_families import COVERED, SYMBOLS, TABLE, Family, page

TEXT = """MergeOptimizer local_useless_fill local_useless_alloc local_useless_elemwise local_useless_inc_subtensor local_useless_slice
local_useless_subtensor local_useless_rebroadcast local_useless_switch local_useless_tile local_useless_split local_useless_reshape
local_useless_reduce local_useless_topk local_useless_elemwise_comparison local_join_1 local_join_empty local_join_make_vector
local_merge_alloc local_view_op local_add_canonizer local_mul_canonizer local_neg_to_mul local_inv_canon local_pow_canonicalize
local_mul_zero local_intdiv_by_one local_zero_div local_0_dot_x local_fill_sink local_dimshuffle_lift local_lift_transpose_through_dot
local_useless_dimshuffle_in_reshape local_reshape_chain local_reshape_lift local_reshape_to_dimshuffle local_flatten_lift
local_cast_cast local_func_inv local_upcast_elemwise_constant_inputs local_subtensor_lift local_subtensor_merge
local_subtensor_of_alloc local_subtensor_of_dot local_subtensor_make_vector local_subtensor_inc_subtensor
local_subtensor_remove_broadcastable_index local_set_to_inc_subtensor local_IncSubtensor_serialize local_incsubtensor_of_zeros
local_setsubtensor_of_constants local_adv_sub1_adv_inc_sub1 local_mul_switch_sink local_div_switch_sink local_merge_switch_same_cond
local_sum_prod_div_dimshuffle local_sum_prod_all_to_none local_op_of_op local_reduce_join local_reduce_broadcastable local_sumsqr2dot
local_abs_lift local_greedy_distributor constant_folding local_log1p local_expm1 local_log_add local_log_sum_exp local_log_erfc
local_grad_log_erfc_neg logsigm_to_softplus log1msigm_to_softplus log1pexp_to_softplus log1p_neg_sigmoid local_exp_over_1_plus_exp
local_sigm_times_exp local_inv_1_plus_exp local_1msigmoid local_logsoftmax local_logsoftmax_grad
crossentropy_to_crossentropy_with_softmax crossentropy_to_crossentropy_with_softmax_with_bias
local_advanced_indexing_crossentropy_onehot local_advanced_indexing_crossentropy_onehot_grad local_pow_specialize
local_pow_specialize_device local_mul_specialize local_add_specialize local_mul_to_sqr local_div_to_inv local_neg_neg
local_neg_div_neg local_abs_merge local_elemwise_sub_zeros local_sum_prod_mul_by_scalar local_opt_alloc local_alloc_unary
local_elemwise_alloc local_fill_to_alloc local_remove_useless_assert local_shape_to_shape_i local_argmax_pushdown
local_softmax_with_bias local_max_and_argmax local_max_to_min local_alloc_dimshuffle local_reshape_dimshuffle local_dimshuffle_alloc
local_dimshuffle_subtensor local_ultra_fast_sigmoid local_hard_sigmoid local_dot_to_dot22 GemmOptimizer local_gemm_to_gemv
local_gemm_to_ger local_dot22_to_ger_or_gemv local_dot22_to_dot22scalar local_add_mul_fusion FusionOptimizer transinv_to_invtrans
inv_as_solve tag_solve_triangular no_transpose_symmetric psd_solve_with_chol local_det_chol local_log_prod_sqr local_log_pow"""
NAMES = TEXT.split()
"""What Theano 1.0.5 calls its rules; families without names of their own are rows of the table by what they do."""
ROWS = [f for families in TABLE.values() for f in families]
AS_WRITTEN = ("when it is written", "one row `matmul`", "a number takes", "each output is a row", "two rows")
"""What needs no optimiser: the graph is never built otherwise."""


def symbols() -> dict[str, Any]:
    """The names that examples use."""
    space: dict[str, Any] = {"eg": eg, "F": "float32", "functools": functools, "operator": operator}
    exec(SYMBOLS, space)
    return space


def built(family: Family) -> tuple[Any, tuple[Any, ...]]:
    """The example and its inputs."""
    out = eval(family.example, symbols())
    return out, tuple(eg.explicit_graph_inputs(out))


def optimised(family: Family) -> Graph:
    """The graph that is left of an example."""
    out, inputs = built(family)
    level = "unsafe" if family.level == "unsafe" else "default"
    graph = eg.compile(inputs, out, device="numpy", optimizer=level).graph
    return run_plan(graph, facts(pairs(graph), ("equal",) * len(pairs(graph))), {}) if family.level == "plan" else graph


def steps(family: Family) -> int:
    """How many kernels and calls a small call of the example takes."""
    out, inputs = built(family)
    graph = run_graph(Graph(inputs, (out,)), {})
    plan = generate(graph, [i.node for i in inputs], ("equal",) * len(uncertain(graph)), "C" * len(inputs), False, CPU)
    return sum(map(run, plan.steps))


def run(step: Any) -> int:
    """How many kernels and calls a step is, in the first of its variants."""
    return sum(map(run, step.variants[0])) if isinstance(step, Branch) else int(isinstance(step, Launch | HostCall))


@pytest.mark.parametrize("family", [f for f in ROWS if f.example], ids=lambda f: f.names[:60])
def test_what_is_left(family: Family) -> None:
    number, _, unit = family.left.partition(" ")
    if unit in ("step", "steps"):
        assert steps(family) == int(number)
        return
    graph = optimised(family)
    if unit == "nodes":
        assert sum(n.op.kind != "leaf" for n in order(graph.outputs)) == int(number)
        return
    assert eg.pp(graph.outputs[0]) == family.left
    if not family.here.startswith(AS_WRITTEN):
        assert eg.pp(built(family)[0]) != family.left, "the optimiser has nothing to do"


def test_every_name_is_in_one_row() -> None:
    found = [n for f in ROWS for n in f.names.split(", ")]
    assert sorted(n for n in found if n in NAMES) == sorted(NAMES)
    assert not [n for n in found if n.startswith("local_") and n not in NAMES]


def test_rows_without_an_example_have_a_reason() -> None:
    assert all(bool(f.example) == bool(f.left) == (f.mark == COVERED) and len(f.here) > 10 for f in ROWS)


def test_the_rules_that_rows_name_are_there() -> None:
    known = words() | {name for name, _ in GRAPH} | {"real"}
    named = [n for f in ROWS for n in re.findall(r"`([^`]+)`", f.here)]
    assert len(named) > 60 and not [n for n in named if n not in known and not hasattr(eg, n)]


def test_the_page_is_what_the_table_says() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "rule_families.md").read_text()
    assert text == page(), "python -m tests.theano_families > docs/rule_families.md"
