"""Theano's named optimisations, each with what there is of it here, as the page docs/rule_families.md shows them.

`python -m tests.theano_families` prints the page.  An example is an expression over the symbols of `SYMBOLS`; what is left of it is the
text of the optimised graph, a number of nodes, or the number of steps that a call takes.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

COVERED, NOT_APPLICABLE, NOT_DONE = "covered", "not applicable", "not done"


class Family(NamedTuple):
    """Optimisations of Theano's, by their names: what does it here, or why nothing does; an example and what is left of it.

    left: the text of the optimised expression; "2 nodes": so many that are no leaves; "1 step": so many kernels and calls.
    level: that of the optimiser; "plan": as at "default", once the sizes of a call are known to be equal.
    """
    names: str
    here: str
    example: str = ""
    left: str = ""
    level: str = "default"
    mark: str = COVERED


def no(names: str, why: str) -> Family:
    """What does not apply here."""
    return Family(names, why, mark=NOT_APPLICABLE)


def later(names: str, why: str) -> Family:
    """What is not done."""
    return Family(names, why, mark=NOT_DONE)


SYMBOLS = """
x, y, z = eg.vectors("x", "y", "z")
A, B, C = eg.matrices("A", "B", "C")
M, N, W, R = eg.tensor("M", F, (3, 4)), eg.tensor("N", F, (4, 5)), eg.tensor("W", F, (4, 3)), eg.tensor("R", F, (1, 4))
s, t = eg.scalars("s", "t")
i, j, u = eg.ivector("i"), eg.lvector("j"), eg.vector("u", dtype="uint8")
c = eg.vector("c", dtype="bool")
d = eg.dvector("d")
"""
MERGE = (
    Family("MergeOptimizer", "pass `merge`; constants by their bits", "eg.exp(x + y) * eg.exp(y + x)", "sqr(exp(x + y))"),
)
USELESS = (
    Family("local_useless_fill, local_fill_to_alloc", "rule `second`", "eg.second(x, x * 2)", "x * 2"),
    Family("local_useless_alloc", "rule `broadcast_to of nothing`", "eg.alloc(x, x.shape[0])", "x"),
    Family("local_useless_elemwise", "tag `choices`", "eg.maximum(eg.exp(x), eg.exp(x))", "exp(x)"),
    Family("local_useless_inc_subtensor", "slices that are all of an axis are none", "A[:].set(A * 2)", "A * 2"),
    Family("local_useless_slice", "when it is written", "x[0:]", "x"),
    Family("local_useless_subtensor", "rules `slice of slice`, `slice of everything`", "x[::-1][::-1]", "x"),
    no("local_useless_rebroadcast", "types have no broadcast flags; `addbroadcast` declares a size, which is checked"),
    Family("local_useless_switch", "tag `choices`", "eg.switch(x > 0, x * 2, x * 2)", "x * 2"),
    Family("local_useless_tile", "when it is written", "eg.tile(x, 1)", "x"),
    Family("local_useless_split", "rule `slice of everything`", "eg.split(x, 1, axis=0)[0]", "x"),
    Family("local_useless_reshape", "when it is written, and rule `reshape of little`", "A.reshape((A.shape[0], A.shape[1]))", "A"),
    Family("local_useless_reduce", "rules `max over no axis` and the like", "A.max(axis=())", "A"),
    Family("local_useless_topk", "each output is a row of its own, and what nobody reads is not there", "eg.topk_and_argtopk(x, 2)[1]",
           "argtopk(x, 2, axis=0, largest=True)"),
    Family("local_useless_elemwise_comparison", "rules `lt of sizes` and the like, and those of unsigned integers", "A.shape[0] < 0",
           "False"),
    Family("local_join_1", "rule `concat of few`", "eg.concatenate([x])", "x"),
    Family("local_join_empty", "rule `concat of few`", "eg.concatenate([x, eg.zeros(0), x[:0], y])", "concat(x, y, axis=0)"),
    Family("local_join_make_vector", "rule `concat of concat`", "eg.concatenate([eg.stack([s, t]), eg.stack([t])])", "3 nodes"),
    Family("local_merge_alloc", "rule `broadcast_to of broadcast_to`", "eg.broadcast_to(eg.broadcast_to(s, (4,)), (3, 4))",
           "broadcast_to(s, 3, 4)"),
    Family("local_view_op", "rule `identity`", "eg.identity(x)", "x"),
)
CANONICALIZE = (
    Family("local_add_canonizer", "tag `cancellation`, since x + s - s rounds", "x + s - s", "x", "unsafe"),
    Family("local_mul_canonizer", "tags `cancellation`, `factors`", "x * s / s", "x", "unsafe"),
    Family("local_neg_to_mul", "the other way: negation is a row, and a change of sign is exact", "x * -1", "-x"),
    Family("local_inv_canon", "rule `1 / x`", "eg.inv(x)", "1 / x"),
    Family("local_pow_canonicalize", "rules `x ** 1`, `x ** 0`", "x ** 1", "x"),
    Family("local_mul_zero", "rule `x * 0`, of integers; of floats where it is asked for", "j * 0 + j", "j"),
    Family("local_intdiv_by_one", "rule `x // 1`", "i // 1", "i"),
    Family("local_zero_div", "rule `0 // x`, of integers; of floats where it is asked for", "j + 0 // j", "j"),
    Family("local_0_dot_x", "rules `0 @ x`, `x @ 0`, where they are asked for", "eg.dot(M, eg.zeros((4, 5)))", "broadcast_to(0, 3, 5)",
           "unsafe"),
    Family("local_fill_sink", "rule `broadcast operands`", "eg.exp(eg.broadcast_to(x, A.shape)) * A", "exp(x) * A", "plan"),
    Family("local_dimshuffle_lift", "rules `dimshuffle of elementwise`, `dimshuffle of dimshuffle`", "eg.exp(A.T).T", "exp(A)"),
    Family("local_lift_transpose_through_dot", "rule `dimshuffle of matmul`, where that leaves no transpose", "(A.T @ B.T).T", "B @ A"),
    Family("local_useless_dimshuffle_in_reshape", "rule `reshape of dimshuffle`", "M.dimshuffle(0, 'x', 1).reshape((6, 2))",
           "reshape(M, 6, 2)"),
    Family("local_reshape_chain", "rule `reshape of reshape`", "M.reshape((12,)).reshape((6, 2))", "reshape(M, 6, 2)"),
    Family("local_reshape_lift, local_flatten_lift", "kernels read through a reshape", "eg.exp(M.reshape((12,)) + 1).reshape((6, 2)) * 2",
           "1 step"),
    Family("local_reshape_to_dimshuffle", "rule `reshape of little`", "M.reshape((3, 1, 4))", "dimshuffle(M, 0, 'x', 1)"),
    Family("local_cast_cast", "rule `cast of cast`", "eg.cast(eg.cast(x, 'float64'), 'float32')", "x"),
    Family("local_func_inv", "rule `-(-x)`; `exp(log(x))` and the like where they are asked for", "eg.exp(eg.log(-(-x)))", "x", "unsafe"),
    Family("local_upcast_elemwise_constant_inputs", "a number takes the dtype of the tensor when it is written", "d * 2 + 1", "d * 2 + 1"),
    Family("local_subtensor_lift", "rules `slice of elementwise`, `slice of max` and the like", "eg.exp(M @ N)[:2]", "exp(M[:2] @ N)"),
    Family("local_subtensor_merge", "rule `slice of slice`", "M[1:][1:]", "M[2:3]"),
    Family("local_subtensor_of_alloc", "rule `slice of broadcast_to`", "eg.broadcast_to(R, (5, 4))[1:3]", "broadcast_to(R, 2, 4)"),
    Family("local_subtensor_of_dot", "rule `slice of matmul`", "(M @ N)[:, 1:3]", "M @ N[:, 1:3]"),
    Family("local_subtensor_make_vector", "rule `slice of concat`", "eg.stack([s, t])[1]", "t"),
    Family("local_subtensor_inc_subtensor", "rules `slice of elementwise`, `slice of place`", "M[1:].set(M[:2])[1:]", "M[:2]"),
    Family("local_subtensor_remove_broadcastable_index", "rule `slice of everything`", "R[0]", "dimshuffle(R, 1)"),
    Family("local_set_to_inc_subtensor", "setting and increasing are maps: one for where, one for what", "x[1:3].set(x[1:3] + 2)",
           "2 steps"),
    Family("local_IncSubtensor_serialize", "sums of increments are one map behind those that say where", "x[1:3].inc(2) + x[:1].inc(3)",
           "2 steps"),
    no("local_incsubtensor_of_zeros", "the zeros are no memory: a kernel stores what is there or 0"),
    no("local_setsubtensor_of_constants", "the constants are no memory: a kernel stores one or the other"),
    later("local_adv_sub1_adv_inc_sub1", "wants to know that no index comes twice"),
    Family("local_mul_switch_sink, local_div_switch_sink", "tag `masks`", "eg.switch(c, x, 0) * y / z", "switch(c, x * y / z, 0)", "plan"),
    Family("local_merge_switch_same_cond", "tag `masks`, where one branch is 0; else both branches would compute what one does",
           "eg.switch(c, x, 0) + eg.switch(c, y, 0)", "switch(c, x + y, 0)", "plan"),
    no("local_sum_prod_div_dimshuffle", "it rounds otherwise, and the division is a part of the kernel of the sum"),
    Family("local_sum_prod_all_to_none", "axes are always named, so that equal sums are one", "A.sum() * A.sum(axis=(0, 1))",
           "sqr(sum(A))"),
    Family("local_op_of_op", "rules `sum of sum`, `max of max` and the like", "A.sum(axis=1).sum()", "sum(A)"),
    Family("local_reduce_join", "rules `sum of stack`, `max of stack` and the like", "eg.stack([x, x[::-1]]).max(axis=0)",
           "maximum(x, x[::-1])"),
    Family("local_reduce_broadcastable", "rules `sum over one element` and the like", "R.max(axis=0)", "dimshuffle(R, 1)"),
    Family("local_sumsqr2dot", "a kernel adds squares as it reads; sums of outer products are products: rule `sum(x * y)`",
           "(M[:, :, None] * N[None]).sum(axis=1)", "M @ N"),
    Family("local_abs_lift", "tag `signs`, where an operation goes", "eg.abs(-x) * eg.abs(y)", "abs(x * y)"),
    no("local_greedy_distributor", "(x / y + z) * y rounds and overflows otherwise than x + y * z"),
    Family("constant_folding", "pass `fold`", "x * eg.sqrt(4.0)", "x * 2"),
)
STABILIZE = (
    Family("local_log1p", "rule `log(1 + x)`", "eg.log(1 + x)", "log1p(x)"),
    Family("local_expm1", "rule `exp(x) - 1`", "eg.exp(x) - 1", "expm1(x)"),
    Family("local_log_add", "rule `log(exp(x) + exp(y))`", "eg.log(eg.exp(x) + eg.exp(y))", "logaddexp(x, y)"),
    Family("local_log_sum_exp", "rule `log(sum(exp(x)))`", "eg.log(eg.exp(A).sum(axis=1))", "1 step"),
    later("local_log_erfc, local_grad_log_erfc_neg", "wants erfcx, which is no row yet"),
    Family("erf/erfc sign patterns", "tag `differences`", "(-eg.erf(x) + 1) / (1 + eg.erf(x)) * (1 - eg.erfc(y))",
           "erfc(x) / erfc(-x) * erf(y)"),
    Family("logsigm_to_softplus", "rule `log(sigmoid(x))`", "eg.log(eg.sigmoid(x))", "-softplus(-x)"),
    Family("log1msigm_to_softplus", "rules `1 - sigmoid(x)`, `log(sigmoid(x))`", "eg.log(1 - eg.sigmoid(x))", "-softplus(x)"),
    Family("log1pexp_to_softplus", "rule `log1p(exp(x))`", "eg.log1p(eg.exp(x))", "softplus(x)"),
    Family("log1p_neg_sigmoid", "rule `log1p(-sigmoid(x))`", "eg.log1p(-eg.sigmoid(x))", "-softplus(x)"),
    Family("local_exp_over_1_plus_exp", "rule `1 / (1 + exp(x))`", "eg.exp(x) / (1 + eg.exp(x))", "sigmoid(x)"),
    Family("local_sigm_times_exp", "rule `exp(x) * sigmoid(-x)`", "eg.exp(x) * eg.sigmoid(-x)", "sigmoid(x)"),
    Family("local_inv_1_plus_exp", "rule `1 / (1 + exp(x))`", "1 / (1 + eg.exp(-x))", "sigmoid(x)"),
    Family("local_1msigmoid", "rule `1 - sigmoid(x)`", "1 - eg.sigmoid(x)", "sigmoid(-x)"),
    Family("local_logsoftmax, local_logsoftmax_grad", "rule `log(exp(x) / y)`, tags `softmax`, `gradients`",
           "eg.log(eg.softmax(A, axis=1))", "1 step"),
    Family("crossentropy_to_crossentropy_with_softmax, crossentropy_to_crossentropy_with_softmax_with_bias",
           "rule `log(exp(x) / y)`; the bias is a part of the kernel", "eg.categorical_crossentropy(eg.softmax(A + x, axis=1), j)",
           "1 step"),
    Family("local_advanced_indexing_crossentropy_onehot, local_advanced_indexing_crossentropy_onehot_grad",
           "tag `gradients`; finite where the softmax is 0",
           "eg.grad(eg.categorical_crossentropy(eg.softmax(A, axis=1), j).sum(), A)", "1 step"),
)
SPECIALIZE = (
    Family("local_pow_specialize, local_pow_specialize_device",
           "rules `x ** 2`, `x ** -1`; x ** 0.5 and the like where they are asked for", "x ** 2", "sqr(x)"),
    Family("local_mul_specialize", "rules `x * 1`, `x * -1`, `-x * y`", "-x * y * 1", "-(x * y)"),
    Family("local_add_specialize", "rules `x + 0`, `x + -0.0`", "j + 0", "j"),
    Family("local_mul_to_sqr", "rule `x * x`", "eg.exp(x) * eg.exp(x)", "sqr(exp(x))"),
    Family("local_div_to_inv", "rule `1 / x`: one spelling", "1 / x + eg.inv(x)", "2 nodes"),
    Family("local_neg_neg", "rule `-(-x)`", "-(-x)", "x"),
    Family("local_neg_div_neg", "rule `-x / -y`", "-x / -y", "x / y"),
    Family("local_abs_merge", "rules `abs(x) * abs(y)`, `abs(x) / abs(y)`", "eg.abs(x) / eg.abs(y)", "abs(x / y)"),
    Family("local_elemwise_sub_zeros", "rule `x - x`, of integers; of floats where it is asked for", "j + (i - i)", "j", "plan"),
    Family("local_sum_prod_mul_by_scalar", "rule `sum(x * k)`, where it is asked for; of integers always", "(x * 3).sum()", "3 * sum(x)",
           "unsafe"),
    later("local_opt_alloc", "n * x is rounded otherwise than a sum of n times x, which takes no memory"),
    Family("local_alloc_unary, local_elemwise_alloc", "rule `broadcast operands`", "eg.exp(eg.broadcast_to(s, (4,)))",
           "broadcast_to(exp(s), 4)"),
    Family("local_remove_useless_assert", "rule `assert of what holds`; conditions on sizes are checked before a call",
           "eg.Assert('positive')(x, eg.constant(True))", "x"),
    Family("local_shape_to_shape_i", "when it is written, and rule `size`: a shape computes nothing but sizes",
           "(eg.exp(A) @ B).shape[1] * 2", "B.shape[1] * 2"),
    Family("local_argmax_pushdown", "tag `positions`", "eg.softmax(A, axis=1).argmax(axis=1)",
           "switch(isnan(max(A, axis=1, shift=True)), 0, argmax(A, axis=1))"),
    Family("local_softmax_with_bias", "the bias is a part of the kernel", "eg.softmax(A + x, axis=1)", "1 step"),
)
UNCANONICALIZE = (
    Family("local_max_and_argmax", "two rows, of which one stays if one is read", "eg.max_and_argmax(A, axis=1)[0]", "max(A, axis=1)"),
    Family("local_max_to_min", "rule `-max(-x)`, where it is asked for", "-((-A).max(axis=0))", "min(A, axis=0)", "unsafe"),
    Family("local_alloc_dimshuffle, local_dimshuffle_alloc", "rule `dimshuffle of broadcast_to`", "eg.broadcast_to(R, (3, 4)).T",
           "broadcast_to(R.T, 4, 3)"),
    Family("local_reshape_dimshuffle", "rule `reshape of dimshuffle`", "x.dimshuffle('x', 0).reshape((x.shape[0], 1))",
           "dimshuffle(x, 0, 'x')"),
    Family("local_dimshuffle_subtensor", "rule `slice of dimshuffle`", "(M @ N).T[1:3]", "(M @ N[:, 1:3]).T"),
    no("local_ultra_fast_sigmoid, local_hard_sigmoid", "they give other numbers: `ultra_fast_sigmoid` and `hard_sigmoid` are functions"),
)
BLAS = (
    Family("local_dot_to_dot22, local_gemm_to_gemv, local_gemm_to_ger, local_dot22_to_ger_or_gemv",
           "one row `matmul`: the BLAS that does it is chosen by NumPy, the tile by the sizes", "M @ N", "M @ N"),
    Family("GemmOptimizer, local_dot22_to_dot22scalar", "what surrounds a product is spliced into its kernel, or is one map",
           "2 * (A @ B) + 3 * C", "2 steps"),
    no("in-place gemm/gemv/ger", "graphs have no in-place nodes; a plan lays results over memory that is read no more"),
)
FUSION = (
    Family("local_add_mul_fusion", "sums and products are binary; a kernel has as many as fit", "x + y + z + x * y * z", "1 step", "plan"),
    Family("FusionOptimizer", "maps, views, gathers and folds over one space are one kernel", "eg.tanh((A * x + 1).sum(axis=1)) / 2",
           "1 step", "plan"),
)
INPLACE = (
    no("in-place elemwise, set/inc subtensor, advanced inc, random, scan, blas, ifelse, sparse-block",
       "graphs have no in-place nodes: plans reuse memory (docs/memory.md), and updates write where nobody else reads"),
)
SCAN = (
    later("scan: remove constants and unused inputs, push out non-sequence ops, push out sequence ops, push out dot1, push out outputs, "
          "merge scans, merge in/outs, save memory, in-place", "there is no scan yet"),
    Family("bodies: OpFromGraph", "opened before anything else, so that rules see what is inside",
           "eg.OpFromGraph([x], [eg.log(1 + eg.exp(x))])(y)", "softplus(y)"),
)
IFELSE = (
    later("ifelse: make in-place, lift through ops, merge nested true/false, CondMerge, remove identical, merge random",
          "there is no ifelse yet; `switch` computes both"),
)
LINALG = (
    later("transinv_to_invtrans, inv_as_solve, tag_solve_triangular, no_transpose_symmetric, psd_solve_with_chol, local_det_chol, "
          "local_log_prod_sqr", "there are no decompositions yet"),
    Family("local_log_pow", "rule `log(x ** k)`, where it is asked for", "eg.log(x ** 5)", "5 * log(x)", "unsafe"),
)
GPU = (
    no("transfer cutting", "values stay where they were computed, as `DeviceArray` (docs/device_arrays.md)"),
    no("Gpu op classes", "rows know no device: kernels for all of them come from one table"),
    Family("alpha/beta merges", "what surrounds a product is a part of its kernel, or one map", "x[:1] + 2 * (A @ B)", "2 steps"),
    Family("memset of alloc 0", "zeros that are read by a kernel are numbers in it", "eg.zeros_like(x) * y + x", "1 step", "plan"),
    Family("elementwise fusion with argument limit", "kernels are split at the argument bytes, registers and statements of the target",
           "functools.reduce(operator.add, [x + s * k for k in range(1, 9)])", "1 step"),
)
TABLE: dict[str, tuple[Family, ...]] = {
    "merge": MERGE, "useless": USELESS, "canonicalize": CANONICALIZE, "stabilize": STABILIZE, "specialize": SPECIALIZE,
    "uncanonicalize": UNCANONICALIZE, "BLAS": BLAS, "fusion": FUSION, "in-place": INPLACE, "scan": SCAN, "ifelse": IFELSE,
    "linalg": LINALG, "GPU": GPU}


HEAD = """# Theano's named optimisations, and what there is of them here

Every optimisation that a Theano user could include or exclude by name, with what does its work here. Rules and tags can be included
and excluded ([optimiser.md](optimiser.md)); what is "asked for" belongs to the list `real`, of the level `"unsafe"` or a mode that
includes it. `M`, `N` and `R` have shapes (3, 4), (4, 5) and (1, 4), `i`, `j` and `u` hold integers, `c` truths; all else are floats
of any size. "1 step" is one kernel or call of NumPy's for the whole expression. It is made of
[tests/theano_families.py](../tests/theano_families.py); tests compare it with what the optimiser does.
"""


def page() -> str:
    """The page docs/rule_families.md."""
    return HEAD + "".join(_lines())


def _lines() -> Iterator[str]:
    for group, families in TABLE.items():
        yield f"\n## {group}\n\n| Theano | here | example | what is left |\n|---|---|---|---|\n"
        for f in families:
            names = ", ".join(f"`{n}`" if n.startswith("local_") else n for n in f.names.split(", "))
            left = f.left if not f.left or f.left.split()[-1] in ("step", "steps", "nodes") else f"`{f.left}`"
            level = {"default": "", "plan": " in a plan", "unsafe": " at `\"unsafe\"`"}[f.level]
            mark = "" if f.mark == COVERED else f"*{f.mark}*: "
            yield f"| {names} | {mark}{f.here} | {f'`{f.example}`' if f.example else ''} | {left}{level} |\n"


if __name__ == "__main__":
    print(page(), end="")
