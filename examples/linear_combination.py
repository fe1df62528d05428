"""A linear combination by a C expression, which is fused with the ops around it and has a gradient."""
import numpy as np

import exprgraph as eg

lin_comb = eg.ElementwiseKernel("float a, float *x, float b, float *y, float *z", "z[i] = a*x[i] + b*y[i]", "linear_combination",
                                grad={"a": "g * x", "x": "g * a", "b": "g * y", "y": "g * b"})


def main():
    """The combination, a function of it in the same kernel, and its gradient."""
    x, y = eg.fvector("x"), eg.fvector("y")
    rng = np.random.default_rng(0)
    x_, y_ = rng.random(50, dtype="float32"), rng.random(50, dtype="float32")
    z = lin_comb(5, x, 6, y)
    for schedule in ("cpu", "gpu"):
        f = eg.compile([x, y], [z, eg.sqrt(z).sum(), eg.grad((z * z).sum(), y)], schedule=schedule)
        combined, roots, slope = f(x_, y_)
        np.testing.assert_allclose(combined, 5 * x_ + 6 * y_, rtol=1e-6)
        np.testing.assert_allclose(roots, np.sqrt(5 * x_ + 6 * y_).sum(), rtol=1e-5)
        np.testing.assert_allclose(slope, 12 * (5 * x_ + 6 * y_), rtol=1e-5)
        print(f"{schedule}: combined")


if __name__ == "__main__":
    main()
