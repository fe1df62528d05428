"""Elementwise comparisons, tests for NaN and infinity, and choices among values: switch, maximum, minimum, clip, relu."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.dtypes import is_complex, is_weak
from exprgraph.errors import CallError, at, here
from exprgraph.node import Op, Out, as_symbol
from exprgraph.ops.arithmetic import NUMBERS, Cotangents
from exprgraph.ops.pair import EACH, Formula, both, either
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.types import Accepted, cast_to, promoted, to_bool


def _comparison(name: str, numpy: Any, sign: str, flags: str = "", pair: Formula | None = None) -> Op:
    return row(name, numpy, f"{{0}} {sign} {{1}}", no_slope(2), arity=2, infer=to_bool, flags="zero_grad " + flags, pair=pair,
               doc=f"a {sign} b, as bool.")


def _test(name: str, numpy: Any, integer: str, doc: str, pair: Formula) -> Op:
    return row(name, numpy, {"f": f"eg_{name}_{{N}}({{0}})", "*": integer}, no_slope(1), infer=to_bool, flags="zero_grad", doc=doc,
               pair=pair)


def _switch_accept(*args: Any) -> Accepted:
    if len(args) != 3:
        raise CallError(f"switch takes a condition and two values, {len(args)} arguments given{at(here())}")
    values = [a if is_weak(a) else as_symbol(a) for a in args[1:]]
    common = promoted(values)
    return (truth(args[0]), *(cast_to(v, common) for v in values)), {}


def truth(x: Any) -> Out:
    """Whether a value is not zero (NaN is not), as bool."""
    out = as_symbol(x)
    return neq(out, 0) if is_complex(out.dtype) else cast_to(x, "bool")


def _switch_grad(g: Out, y: Out, condition: Out, a: Out, b: Out) -> Cotangents:
    return None, switch(condition, g, 0), switch(condition, 0, g)


def _won(g: Out, a: Out, b: Out, better: Op) -> Out:
    """The share of `g` that goes to `a` when it competes with `b`: all, half at a tie, or none."""
    return switch(better(a, b), g, switch(eq(a, b), g * 0.5, 0))


def _extremum_grad(better: Op) -> Any:
    return lambda g, y, a, b: (_won(g, a, b, better), _won(g, b, a, better))


def _clip_grad(g: Out, y: Out, x: Out, low: Out, high: Out) -> Cotangents:
    raised = maximum(x, low)
    inner = _won(g, raised, high, lt)
    return _won(inner, x, low, gt), _won(inner, low, x, gt), _won(g, high, raised, lt)


def _larger(a: Any, b: Any) -> Any:
    """NumPy's maximum, with the first of two equal values (its own choice between 0.0 and -0.0 varies with the processor)."""
    return np.where((a >= b) | (a != a), a, b)


def _smaller(a: Any, b: Any) -> Any:
    return np.where((a <= b) | (a != a), a, b)


lt = _comparison("lt", np.less, "<")
le = _comparison("le", np.less_equal, "<=")
gt = _comparison("gt", np.greater, ">")
ge = _comparison("ge", np.greater_equal, ">=")
eq = _comparison("eq", np.equal, "==", "commutative", both("eq"))
neq = _comparison("neq", np.not_equal, "!=", "commutative", either("neq"))
isnan = _test("isnan", np.isnan, "0", "Whether x is not a number.", either("isnan"))
isinf = _test("isinf", np.isinf, "0", "Whether x is an infinity.", either("isinf"))
isfinite = _test("isfinite", np.isfinite, "1", "Whether x is neither NaN nor infinite.", both("isfinite"))
switch = row("switch", np.where, "{0} ? {1} : {2}", _switch_grad, arity=3, accept=_switch_accept, flags="smooth", pair=EACH,
             doc="The second argument where the first holds, else the third; the cotangent of what is not chosen is exactly 0.  It stays 0 "
                 "where a slope behind it is infinite, since the stable rules mask last (without them, or behind a sum, 0 * inf is "
                 "NaN: then choose a harmless operand inside too, as in 1 / switch(c, x, 1)).")
maximum = row("maximum", _larger, {"b": "{0} | {1}", "*": "eg_max_{N}({0}, {1})"}, _extremum_grad(gt), arity=2,
              doc="The larger of two values; NaN wins; both share the gradient of a tie.")
minimum = row("minimum", _smaller, {"b": "{0} & {1}", "*": "eg_min_{N}({0}, {1})"}, _extremum_grad(lt), arity=2,
              doc="The smaller of two values; NaN wins; both share the gradient of a tie.")
clip = row("clip", lambda x, low, high: _smaller(_larger(x, low), high), "eg_clip_{N}({0}, {1}, {2})", _clip_grad, arity=3, takes=NUMBERS,
           doc="minimum(maximum(x, low), high); NaN in any of the three wins.")
relu = row("relu", lambda x: np.where(x <= 0, x.dtype.type(0), x), "eg_relu_{N}({0})", lambda g, y, x: (switch(x <= 0, 0, g),),
           takes=NUMBERS, doc="x where it is positive, else 0; NaN stays NaN.")

TABLE = table([lt, le, gt, ge, eq, neq, isnan, isinf, isfinite, switch, maximum, minimum, clip, relu])
