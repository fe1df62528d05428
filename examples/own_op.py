"""An op of your own is one row: its NumPy meaning, its C spelling, its gradient.  Nothing else has to be touched."""
import numpy as np

import exprgraph as eg
from exprgraph import dtypes
from exprgraph.ops.rows import row

sinc = row(
    "example_sinc",
    lambda x: np.where(x == 0, 1, np.sin(x) / np.where(x == 0, 1, x)).astype(x.dtype),
    "{0} == 0 ? 1 : EG_SIN{S}({0}) / {0}",
    lambda g, y, x: (g * eg.where(eg.eq(x, 0), 0, (eg.cos(x) - y) / eg.where(eg.eq(x, 0), 1, x)),),
    takes=dtypes.FLOATS, compute=dtypes.as_float, ulp=6.0, flags="smooth expensive", doc="sin(x) / x, and 1 at 0.")


def main():
    """Compile the new op, its gradient, and a reduction that it is fused into."""
    x = eg.vector("x")
    f = eg.compile([x], [sinc(x), eg.grad(sinc(x).sum(), x)])
    for values in f(np.array([0, 0.5, 3], "float32")):
        print(values)


if __name__ == "__main__":
    main()
