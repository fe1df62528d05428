"""Elementwise logic on bool and on the bits of integers, one row per operation."""
from __future__ import annotations

import numpy as np

from exprgraph.dtypes import BOOL, INTS
from exprgraph.ops.rows import row, table

BITS = BOOL + INTS

and_ = row("and_", np.bitwise_and, "{0} & {1}", arity=2, takes=BITS, flags="commutative", doc="Bitwise and; logical for bool.")
or_ = row("or_", np.bitwise_or, "{0} | {1}", arity=2, takes=BITS, flags="commutative", doc="Bitwise or; logical for bool.")
xor = row("xor", np.bitwise_xor, "{0} ^ {1}", arity=2, takes=BITS, flags="commutative", doc="Bitwise exclusive or; `!=` for bool.")
invert = row("invert", np.invert, {"b": "!({0})", "*": "({T})~({0})"}, takes=BITS, doc="All bits flipped; `not` for bool.")
left_shift = row("left_shift", np.left_shift, "eg_shl_{N}({0}, {1})", arity=2, takes=INTS,
                 doc="a * 2**b, wrapping; 0 where b is negative or at least the width.")
right_shift = row("right_shift", np.right_shift, "eg_shr_{N}({0}, {1})", arity=2, takes=INTS,
                  doc="a // 2**b; 0, or -1 for negative a, where b is negative or at least the width.")

TABLE = table([and_, or_, xor, invert, left_shift, right_shift])
