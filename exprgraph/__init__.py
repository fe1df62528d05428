"""exprgraph: symbolic tensor expressions, their gradients, and one compile to OpenCL for every size."""
# ruff: noqa: I001  (names are wrapped at the line length, not one a line)
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from exprgraph import supported  # noqa: F401  (first: it refuses what nothing here runs on)
from exprgraph import errors, modes as _modes
from exprgraph.config import change_flags, config
from exprgraph.errors import (
    AllocationError, AssertionFault, CallError, DeviceError, DisconnectedInputError, DTypeError, GradientError, GraphError, GuardFault,
    IndexFault, MismatchFault, MissingGradientError, MissingInputError, NullTypeGradError, OptionError, OwnOpError, RankError,
    ShapeError, UnusedInputError, UseError, ValueFault)
from exprgraph.functions.assigning import inc_subtensor, set_subtensor
from exprgraph.functions.complexes import angle, conj, conjugate, imag, real
from exprgraph.functions.creation import (
    AllocEmpty, alloc, arange, empty, empty_like, eye, full, full_like, identity_like, ones, ones_like, to_one_hot, tri, tril, triu,
    zeros, zeros_like)
from exprgraph.functions.indexing import diag, diagonal, flip, getitem, take, take_along_axis, trace
from exprgraph.functions.joining import (
    concat, concatenate, horizontal_stack, hstack, join, repeat, split, stack, tile, vertical_stack, vstack)
from exprgraph.functions.linear import batched_dot, batched_tensordot, dot, matmul, matrix_dot, outer, tensordot, vdot
from exprgraph.functions.nnet import (
    binary_crossentropy, categorical_crossentropy, cross_entropy_with_logits, elu, gelu, hard_sigmoid, leaky_relu, log_sigmoid,
    log_softmax, mse, relu, selu, sigmoid_binary_crossentropy, silu, softmax, softsign, ultra_fast_sigmoid)
from exprgraph.functions.shaping import (
    addbroadcast, atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_to, dimshuffle, expand_dims, flatten, moveaxis,
    patternbroadcast, ravel, reshape, shape, shape_padaxis, shape_padleft, shape_padright, size, specify_shape, squeeze, swapaxes,
    transpose, unbroadcast)
from exprgraph.functions.stats import logsumexp, max_and_argmax, mean, ptp, std, var
from exprgraph.functions.sugar import (
    abs_, acos, acosh, allclose, asin, asinh, atan, atan2, atanh, bitwise_and, bitwise_invert, bitwise_left_shift, bitwise_not,
    bitwise_or, bitwise_right_shift, bitwise_xor, ceil_intdiv, clip, degrees, divide, divmod, equal, expit, fill, floor_div,
    floor_divide, fmax, fmin, greater, greater_equal, heaviside, inv, iround, isclose, largest, less, less_equal, log1mexp, log1pexp,
    logaddexp2, logical_and, logical_not,
    logical_or, logical_xor, multiply, nan_to_num, ne, negative, not_equal, positive, pow, radians, remainder, rint, round, sgn,
    sinc, smallest, square, subtract, true_divide, where)
from exprgraph.grad import grad, subgraph_grad
from exprgraph.graph import ancestors, explicit_graph_inputs, graph_inputs, io_toposort
from exprgraph.locks import LOADING as _LOADING
from exprgraph.node import OPERATORS, Graph, Node, Op, Out
from exprgraph.ops.arithmetic import (
    absolute, absolute as abs, add, deg2rad, int_div, mod, mul, neg, rad2deg, reciprocal, rsqrt, sign, sqr, sqrt, sub, true_div)
from exprgraph.ops.bits import and_, invert, left_shift, or_, right_shift, xor
from exprgraph.ops.compare import eq, ge, gt, isfinite, isinf, isnan, le, lt, maximum, minimum, neq, switch
from exprgraph.ops.complexes import complex_ as complex, complex_from_polar
from exprgraph.ops.gradient_markers import consider_constant, grad_clip, grad_scale, undefined_grad
from exprgraph.ops.markers import Assert, Print, assert_op, disconnected_grad, zero_grad
from exprgraph.ops.reduce import all_ as all, any_ as any, argmax, argmin, max_ as max, min_ as min, prod, sum_ as sum
from exprgraph.ops.rounding import cast, ceil, floor, identity, round_half_away_from_zero, round_half_to_even, second, trunc
from exprgraph.ops.scan import cummax, cummin, cumprod, cumsum
from exprgraph.ops.table import ROWS
from exprgraph.ops.transcendental import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cos, cosh, erf, erfc, exp, exp2, expm1, hypot, log, log1p, log2, log10,
    logaddexp, power, sigmoid, sin, sinh, softplus, tan, tanh)
from exprgraph.replace import clone, clone_replace, clone_symbol, graph_replace
from exprgraph.shared import Shared, shared
from exprgraph.symbols import as_tensor_variable, constant, constructors, tensor, tensor_type as TensorType

if TYPE_CHECKING:
    from exprgraph.arrays import array, from_dlpack, opencl_queue, to_pyopencl
    from exprgraph.compilation import Container, Function, In, compile, function
    from exprgraph.functions.counting import (
        Unique, bincount, histogram, histogram_bin_edges, intersect1d, isin, setdiff1d, union1d, unique)
    from exprgraph.functions.diagonals import diagflat, fill_diagonal, fill_diagonal_offset
    from exprgraph.functions.einsum import einsum, einsum_path
    from exprgraph.functions.grids import indices, meshgrid, mgrid, ogrid
    from exprgraph.functions.nan_stats import (
        nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean, nanmin, nanprod, nanstd, nansum, nanvar)
    from exprgraph.functions.norms import entrywise_norm, matrix_norm, norm, vector_norm
    from exprgraph.functions.padding import pad
    from exprgraph.functions.parts import array_split, block, column_stack, dsplit, dstack, hsplit, stacklists, unstack, vsplit
    from exprgraph.functions.positions import (
        choose, inverse_permutation, permute_row_elements, ravel_multi_index, select, unravel_index)
    from exprgraph.functions.products import block_diag, cross, inner, kron, matrix_power, matvec, multi_dot, vecdot, vecmat
    from exprgraph.functions.samples import average, corrcoef, count_nonzero, cov, diff, ediff1d, trapezoid
    from exprgraph.functions.selecting import argwhere, compress, extract, flatnonzero, nonzero, nonzero_values
    from exprgraph.functions.sorting import (
        argsort, argtopk, digitize, interp, median, percentile, quantile, searchsorted, sort, topk, topk_and_argtopk)
    from exprgraph.functions.spaced import bartlett, blackman, geomspace, hamming, hanning, linspace, logspace
    from exprgraph.functions.turning import fliplr, flipud, roll, rollaxis, rot90
    from exprgraph.hardware import DeviceInfo, devices
    from exprgraph.lanes import vectorize, vectorize_graph, vmap
    from exprgraph.resident import DeviceArray

__version__ = "0.1.0"
logsoftmax, swish, as_tensor = log_softmax, silu, as_tensor_variable

OPERATORS.update(ROWS)


def _late(name: str) -> Any:
    """What calls a function that is loaded when it is first called."""
    return lambda *args, **keywords: getattr(importlib.import_module(_LATE[name]), name)(*args, **keywords)


OPERATORS.update({f.__name__: f for f in (
    matmul, dot, mean, var, std, ptp, max_and_argmax, divmod, clip, round, shape, size, transpose, getitem, reshape, flatten,
    ravel, dimshuffle, swapaxes, squeeze, expand_dims, broadcast_to, take, repeat, zeros_like, ones_like, diagonal, trace, stack,
    clone_symbol, set_subtensor, inc_subtensor, real, imag, conj)},
    where=where, fill=fill, reduced=lambda thing: importlib.import_module("exprgraph.pickled").reduced(thing))
OPERATORS.update({name: _late(name) for name in ("sort", "argsort", "nonzero", "compress", "topk", "searchsorted", "choose")},
                 norm=_late("entrywise_norm"), eval=lambda *a, **k: importlib.import_module("exprgraph.compilation").eval(*a, **k))
_modes.CHOOSING.update({name: lambda *given, name=name: getattr(importlib.import_module("exprgraph.choosing"), name)(*given)
                        for name in ("including", "excluding", "checked")})

__all__ = [
    "AllocEmpty", "array_split", "average", "bartlett", "blackman", "block", "block_diag", "choose", "column_stack", "corrcoef",
    "count_nonzero", "cross", "diagflat", "dsplit", "dstack", "ediff1d", "einsum", "einsum_path", "empty_like", "fill_diagonal",
    "fill_diagonal_offset", "fliplr", "flipud", "fmax", "fmin", "geomspace", "hamming", "hanning", "heaviside", "hsplit", "indices",
    "inner", "inverse_permutation", "kron", "log1mexp", "logaddexp2", "logspace", "entrywise_norm", "matrix_norm", "vector_norm",
    "matrix_power", "matvec", "meshgrid", "mgrid",
    "multi_dot", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar", "ogrid", "pad", "permute_row_elements", "ravel_multi_index", "rollaxis", "rot90", "select", "sinc", "stacklists",
    "trapezoid", "unravel_index", "unstack", "vecdot", "vecmat", "vsplit",
    "AllocationError", "CallError", "DTypeError", "DeviceError", "DisconnectedInputError", "Function", "GradientError", "Graph",
    "GraphError", "In", "IndexFault", "MissingInputError", "Node", "Op", "OptionError", "Out", "OwnOpError", "RankError", "ShapeError",
    "Shared", "TensorType", "UnusedInputError", "UseError", "ValueFault", "abs", "abs_", "absolute", "acos", "acosh", "add", "addbroadcast",
    "all", "allclose", "alloc", "and_", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "angle", "complex", "complex_from_polar", "conj", "conjugate", "imag", "real",
    "Unique", "argmax", "argmin", "argsort", "argtopk", "argwhere", "bincount", "compress", "digitize", "extract", "flatnonzero",
    "histogram", "histogram_bin_edges", "interp", "intersect1d", "isin", "median", "nonzero", "nonzero_values", "percentile",
    "quantile", "searchsorted", "setdiff1d", "sort", "topk", "topk_and_argtopk", "union1d", "unique",
    "as_tensor", "as_tensor_variable", "asin", "asinh", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d",
    "batched_dot", "batched_tensordot", "binary_crossentropy", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "broadcast_arrays", "broadcast_to", "cast", "categorical_crossentropy", "ceil",
    "ceil_intdiv", "change_flags", "clip", "compile", "concat", "concatenate", "config", "constant", "cos", "cosh", "cov",
    "cross_entropy_with_logits", "cummax", "cummin", "cumprod", "cumsum",
    "deg2rad", "degrees", "diag", "diagonal", "diff", "dimshuffle", "disconnected_grad", "divide", "divmod", "dot",
    "elu", "empty", "eq", "equal", "erf", "erfc", "errors", "exp", "exp2", "expand_dims", "expit", "expm1", "eye", "fill", "flatten",
    "flip", "floor", "floor_div", "floor_divide", "full", "full_like", "function", "ge", "gelu", "getitem", "grad", "greater",
    "greater_equal", "gt", "hard_sigmoid", "horizontal_stack", "hstack", "hypot", "identity", "identity_like", "int_div", "inv",
    "invert", "iround", "isclose", "isfinite", "isinf", "isnan", "join", "largest", "le", "leaky_relu", "left_shift", "less",
    "less_equal", "linspace", "log", "log10", "log1p", "log1pexp", "log2", "log_sigmoid", "log_softmax", "logaddexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsoftmax", "logsumexp", "lt", "matmul", "matrix_dot", "max", "max_and_argmax",
    "maximum", "mean", "min", "minimum", "mod", "moveaxis", "mse", "mul", "multiply", "nan_to_num", "ne", "neg", "negative", "neq",
    "norm", "not_equal", "ones", "ones_like", "or_", "outer", "patternbroadcast", "positive", "pow", "power", "prod", "ptp", "rad2deg",
    "radians", "ravel", "reciprocal", "relu", "remainder", "repeat", "reshape", "right_shift", "rint", "roll", "round",
    "round_half_away_from_zero", "round_half_to_even", "rsqrt", "second", "selu", "sgn", "shape", "shape_padaxis", "shape_padleft",
    "shape_padright", "shared", "sigmoid", "sigmoid_binary_crossentropy", "sign", "silu", "sin", "sinh", "size", "smallest", "softmax",
    "softplus", "softsign", "specify_shape", "split", "sqr", "sqrt", "square", "squeeze", "stack", "std", "sub", "subtract", "sum",
    "swapaxes", "swish", "switch", "take", "take_along_axis", "tan", "tanh", "tensor", "tensordot", "tile", "to_one_hot", "trace",
    "transpose", "tri", "tril", "triu", "true_div", "true_divide", "trunc", "ultra_fast_sigmoid", "unbroadcast", "var", "vdot",
    "inc_subtensor", "set_subtensor",
    "vertical_stack", "vstack", "where", "xor", "zero_grad", "zeros", "zeros_like"]

__all__ += ["Assert", "AssertionFault", "Container", "DeviceInfo", "devices", "Print", "ancestors", "assert_op", "clone", "clone_replace",
            "explicit_graph_inputs", "graph_inputs", "graph_replace", "io_toposort", "vectorize", "vectorize_graph", "vmap",
            "GuardFault", "MismatchFault", "MissingGradientError", "NullTypeGradError", "consider_constant", "grad_clip", "grad_scale",
            "subgraph_grad", "undefined_grad", "DeviceArray", "array", "from_dlpack", "opencl_queue", "to_pyopencl"]
_SYMBOLS = constructors()
globals().update(_SYMBOLS)
__all__ += [*_SYMBOLS]

_FUNCTIONS = {
    "counting": "Unique bincount histogram histogram_bin_edges intersect1d isin setdiff1d union1d unique",
    "diagonals": "diagflat fill_diagonal fill_diagonal_offset",
    "einsum": "einsum einsum_path",
    "grids": "indices meshgrid mgrid ogrid",
    "nan_stats": "nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum nanvar",
    "norms": "entrywise_norm matrix_norm norm vector_norm",
    "padding": "pad",
    "parts": "array_split block column_stack dsplit dstack hsplit stacklists unstack vsplit",
    "positions": "choose inverse_permutation permute_row_elements ravel_multi_index select unravel_index",
    "products": "block_diag cross inner kron matrix_power matvec multi_dot vecdot vecmat",
    "samples": "average corrcoef count_nonzero cov diff ediff1d trapezoid",
    "selecting": "argwhere compress extract flatnonzero nonzero nonzero_values",
    "sorting": "argsort argtopk digitize interp median percentile quantile searchsorted sort topk topk_and_argtopk",
    "spaced": "bartlett blackman geomspace hamming hanning linspace logspace",
    "turning": "fliplr flipud roll rollaxis rot90"}
"""Functions that not every script uses, by the module of `functions/` that is loaded by the first of them."""
_LATE = {
    **dict.fromkeys(("array", "from_dlpack", "opencl_queue", "to_pyopencl"), "exprgraph.arrays"), "DeviceArray": "exprgraph.resident",
    **{name: f"exprgraph.functions.{module}" for module, names in _FUNCTIONS.items() for name in names.split()},
    **dict.fromkeys(("Container", "Function", "In", "compile", "function"), "exprgraph.compilation"),
    **dict.fromkeys(("DebugMode", "Mode", "MonitorMode", "NanGuardMode"), "exprgraph.modes"),
    **dict.fromkeys(("from_sympy", "latex", "to_networkx", "to_sympy"), "exprgraph.convert"),
    **dict.fromkeys(("debugprint", "pp", "pydotprint", "to_dot"), "exprgraph.show"),
    **dict.fromkeys(("check_grads", "verify_grad"), "exprgraph.testing"), "checkpoint": "exprgraph.checkpoints",
    **dict.fromkeys(("OpFromGraph", "custom_gradient"), "exprgraph.op_from_graph"), "gradient": "exprgraph.gradient",
    **dict.fromkeys(("hessian", "hessian_vector_product", "jacobian"), "exprgraph.jacobians"),
    **dict.fromkeys(("Lop", "Rop", "jvp", "linearize", "pullback", "pushforward", "vjp"), "exprgraph.products"),
    **dict.fromkeys(("explain", "get_test_value"), "exprgraph.explanation"),
    **dict.fromkeys(("function_dump", "function_load"), "exprgraph.dump"), "printing": "exprgraph.printing",
    "profile_summary": "exprgraph.profiles", "Rule": "exprgraph.own.rule",
    "assume": "exprgraph.assuming", "facts": "exprgraph.facts", "rule_table": "exprgraph.rules.catalogue",
    **dict.fromkeys(("vectorize", "vectorize_graph", "vmap"), "exprgraph.lanes"),
    **dict.fromkeys(("DeviceInfo", "devices"), "exprgraph.hardware"),
    "as_op": "exprgraph.own.function", "ElementwiseKernel": "exprgraph.own.elementwise",
    "RawKernel": "exprgraph.own.raw", "ReductionKernel": "exprgraph.own.reduction",
    "nnet": "exprgraph.nnet", **dict.fromkeys(("batch_normalization_test", "batch_normalization_train"), "exprgraph.functions.batch_norm"),
    **dict.fromkeys(("images2neibs", "neibs2images"), "exprgraph.functions.patches"),
    **dict.fromkeys(("confusion_matrix", "h_softmax", "sparse_block_dot"), "exprgraph.functions.classes")}
_ROOMS = ("facts", "gradient", "nnet", "printing")
__all__ += [name for name in _LATE if name not in __all__]


def __dir__() -> list[str]:
    """All names, those that are not loaded yet too: for completion, and for Python's own suggestions."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """What compiles, shows and tests graphs is loaded when first asked for, so that the import stays quick."""
    if name not in _LATE:
        raise AttributeError(f"module 'exprgraph' has no attribute {name!r}")
    with _LOADING:
        module = importlib.import_module(_LATE[name])
    globals()[name] = found = module if name in _ROOMS else getattr(module, name)
    return found
