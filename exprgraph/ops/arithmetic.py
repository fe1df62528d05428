"""Elementwise arithmetic: one row per operation."""
from __future__ import annotations

import numpy as np

from exprgraph import dtypes
from exprgraph.ops.rows import row, table

WRAP = "({T})(({U}){0} %s ({U}){1})"

add = row("add", np.add, {"f": "{0} + {1}", "b": "{0} | {1}", "*": WRAP % "+"}, lambda g, y, a, b: (g, g), arity=2,
          flags="commutative smooth", doc="a + b; integers wrap; `or` for bool.")
mul = row("mul", np.multiply, {"f": "{0} * {1}", "b": "{0} & {1}", "*": WRAP % "*"}, lambda g, y, a, b: (g * b, g * a), arity=2,
          flags="commutative smooth", doc="a * b; integers wrap; `and` for bool.")
exp = row("exp", np.exp, "EG_EXP({0})", lambda g, y, x: (g * y,), takes=dtypes.FLOATS, compute=dtypes.as_float, ulp=2.0,
          flags="expensive smooth", doc="e to the power x.")

TABLE = table([add, mul, exp])
