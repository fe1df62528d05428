"""A matrix product with tiles in local memory: a whole kernel of one's own, with a gradient, between generated ones."""
import numpy as np

import exprgraph as eg

TILE = 16
SOURCE = f"""
    #define TILE {TILE}
    __kernel void product(__global const float *a, __global const float *b, __global float *c,
                          __local float *left, __local float *right, int inner) {{
        int column = get_global_id(0), row = get_global_id(1), x = get_local_id(0), y = get_local_id(1);
        int width = get_global_size(0);
        float sum = 0;
        for (int start = 0; start < inner; start += TILE) {{
            left[y*TILE + x] = a[row*inner + start + x];
            right[y*TILE + x] = b[(start + y)*width + column];
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int k = 0; k < TILE; ++k)
                sum += left[y*TILE + k] * right[k*TILE + x];
            barrier(CLK_LOCAL_MEM_FENCE);
        }}
        c[row*width + column] = sum;
    }}"""
product = eg.RawKernel(SOURCE, outputs={"c": lambda a, b: (a.shape[0], b.shape[1])}, scalars={"inner": lambda a, b: a.shape[1]},
                       local={"left": TILE * TILE, "right": TILE * TILE}, global_size=lambda a, b: (b.shape[1], a.shape[0]),
                       local_size=(TILE, TILE), grad=lambda g, c, a, b: (product(g, b.T), product(a.T, g)))


def main():
    """The product, and the gradient of a function of it, by the same kernel."""
    a, b = eg.fmatrix("a"), eg.fmatrix("b")
    rng = np.random.default_rng(0)
    a_, b_ = rng.random((64, 32), dtype="float32"), rng.random((32, 48), dtype="float32")
    for schedule in ("cpu", "gpu"):
        c = eg.tanh(product(a, b) / 16)
        f = eg.compile([a, b], [c, eg.grad(c.sum(), a)], schedule=schedule)
        for (m, n) in ((a_, b_), (a_[:16], b_[:, :16])):
            found, slope = f(m, n)
            wanted = np.tanh(m @ n / 16)
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
            np.testing.assert_allclose(slope, (1 - wanted**2) / 16 @ n.T, rtol=1e-4, atol=1e-5)
        print(f"{schedule}: multiplied")


if __name__ == "__main__":
    main()
