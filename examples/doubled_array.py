"""The first program of PyCUDA's and PyOpenCL's users: an array is doubled on the device, by a kernel of their own."""
import numpy as np

import exprgraph as eg

doublify = eg.RawKernel("""
    __kernel void doublify(__global float *a) {
        int i = get_global_id(0) + get_global_id(1) * get_global_size(0);
        a[i] *= 2;
    }""", inputs="a", outputs="a", global_size=lambda a: (a.shape[1], a.shape[0]))
twice = eg.ElementwiseKernel("float *a", "a[i] *= 2")


def main():
    """Both ways, and with what comes before and after: no array leaves the device in between."""
    a = eg.fmatrix("a")
    values = np.random.default_rng(0).standard_normal((4, 4)).astype("float32")
    for schedule in ("cpu", "gpu"):
        f = eg.compile([a], [doublify(a), twice(a), eg.exp(doublify(a + 1)).sum()], schedule=schedule)
        raw, fused, total = f(values)
        np.testing.assert_array_equal(raw, 2 * values)
        np.testing.assert_array_equal(fused, 2 * values)
        np.testing.assert_allclose(total, np.exp(2 * (values + 1)).sum(), rtol=1e-5)
        print(f"{schedule}: doubled")


if __name__ == "__main__":
    main()
