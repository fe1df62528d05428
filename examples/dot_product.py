"""A dot product by a reduction of one's own, along any axis; and a fold that no library has."""
import numpy as np

import exprgraph as eg

dot = eg.ReductionKernel("float32", neutral="0", reduce_expr="a+b", map_expr="x[i]*y[i]", arguments="float *x, float *y", name="dot")
gcd = eg.ReductionKernel("int32", neutral=0, reduce_expr="gcd(a, b)", name="greatest_divisor",
                         preamble="int gcd(int a, int b) { while (b) { int rest = a % b; a = b; b = rest; } return a < 0 ? -a : a; }")


def main():
    """Over everything and along rows."""
    x, y, k = eg.fmatrix("x"), eg.fmatrix("y"), eg.imatrix("k")
    rng = np.random.default_rng(0)
    x_, y_ = rng.random((30, 400), dtype="float32"), rng.random((30, 400), dtype="float32")
    k_ = 6 * rng.integers(1, 50, (5, 8)).astype("int32")
    for schedule in ("cpu", "gpu"):
        f = eg.compile([x, y, k], [dot(x, y), dot(x, y, axis=1), gcd(k, axis=0)], schedule=schedule)
        total, rows, divisors = f(x_, y_, k_)
        np.testing.assert_allclose(total, (x_ * y_).sum(dtype="float64"), rtol=1e-6)
        np.testing.assert_allclose(rows, (x_ * y_).sum(1), rtol=1e-5)
        np.testing.assert_array_equal(divisors, np.gcd.reduce(k_, axis=0))
        print(f"{schedule}: reduced")


if __name__ == "__main__":
    main()
