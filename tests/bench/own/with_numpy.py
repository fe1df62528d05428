"""Our own rows in NumPy; what it lacks (erf) comes from SciPy."""
import numpy as np
from scipy.special import ndtr


def black_scholes(s, k, t):
    spread = 0.3 * np.sqrt(t)
    d = (np.log(s / k) + 0.065 * t) / spread
    return s * ndtr(d) - k * np.exp(-0.02 * t) * ndtr(d - spread)


def haversine(a, b, c, d):
    h = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return 12742 * np.arcsin(np.sqrt(h))


def gelu(x, b):
    z = x + b
    t = np.tanh(0.79788456 * (z + 0.044715 * z * z * z))
    t += 1
    t *= z
    t *= 0.5
    return t


def row_moments(x):
    mean = x.mean(axis=1)
    d = x - mean[:, None]
    return mean, np.einsum("ij,ij->i", d, d) / x.shape[1]


def small_products(x, y):
    return x @ y


def rbf(x, y):
    d = x[:, None] - y[None]
    return np.exp(-np.einsum("ijk,ijk->ij", d, d))


def cosine(x, y):
    dots = [np.einsum("ij,ij->i", a, b) for a, b in ((x, y), (x, x), (y, y))]
    return dots[0] / np.sqrt(dots[1] * dots[2])


def attention(q, k, v):
    n = q.shape[1]
    z = q @ k.transpose(0, 2, 1)
    z *= 0.125
    z[:, ~np.tri(n, dtype=bool)] = -np.inf
    z -= z.max(axis=2, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=2, keepdims=True)
    return z @ v


def stencil(x):
    return x[1:-1, 1:-1] + 0.1 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1])


def adam(p, g, m, v):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    return p - 0.001 * m / (np.sqrt(v) + 1e-8), m, v


def moving_sum(x):
    out = x[: len(x) - 7].copy()
    for i in range(1, 8):
        out += x[i: len(x) - 7 + i]
    return out


def bag(table, index):
    return table[index].mean(axis=1)


def horner(x):
    total = 0.125 * x - 0.25
    for c in (0.5, -1, 2, -0.75, 1.5, 0.375, -0.625):
        total *= x
        total += c
    return total


def logistic_loss(z, y):
    e = np.exp(-np.abs(z))
    cost = np.mean(np.maximum(z, 0) - y * z + np.log1p(e))
    return cost, (np.where(z > 0, 1, e) / (1 + e) - y) / len(z)


def column_range(x):
    low = x.min(axis=0)
    return (x - low) / (x.max(axis=0) - low)


def rms_silu(x, g):
    scale = 1 / np.sqrt(np.einsum("ij,ij->i", x, x) / x.shape[1] + 1e-6)
    z = x * scale[:, None]
    z *= g
    return z / (1 + np.exp(-z))


def argmax(x):
    return x.argmax(axis=1)


def unit_vector(x):
    return x / np.sqrt(x @ x)
