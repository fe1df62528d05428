"""The Mandelbrot set by a loop in C for each point of the plane."""
import numpy as np

import exprgraph as eg

STEPS = 50
mandelbrot = eg.ElementwiseKernel("float *re, float *im, int *escaped", f"""
    float x = 0, y = 0;
    int step = 0;
    for (; step < {STEPS} && x*x + y*y <= 4; ++step) {{
        float next = x*x - y*y + re[i];
        y = 2*x*y + im[i];
        x = next;
    }}
    escaped[i] = step;""", "mandelbrot")


def by_numpy(re, im):
    """The same, one step of all points after the other."""
    x, y, escaped = np.zeros_like(re), np.zeros_like(re), np.zeros(re.shape, "int32")
    for _ in range(STEPS):
        inside = x * x + y * y <= 4
        escaped += inside
        x, y = np.where(inside, x * x - y * y + re, x), np.where(inside, 2 * x * y + im, y)
    return escaped


def main():
    """The picture in letters; the plane is made in the kernel, from two vectors that are broadcast."""
    re, im = eg.fvector("re"), eg.fvector("im")
    across, down = np.linspace(-2.1, 0.6, 64, dtype="float32"), np.linspace(-1.2, 1.2, 24, dtype="float32")
    for schedule in ("cpu", "gpu"):
        f = eg.compile([re, im], mandelbrot(re, im.dimshuffle(0, "x")), schedule=schedule)
        picture = f(across, down)
        np.testing.assert_array_equal(picture, by_numpy(*np.broadcast_arrays(across, down[:, None])))
    for row in picture:
        print("".join(" .:-=+*#%@"[min(n * 10 // (STEPS + 1), 9)] for n in row))


if __name__ == "__main__":
    main()
