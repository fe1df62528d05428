"""Our own rows in PyTensor."""
import pytensor.tensor as pt
from pytensor.tensor.special import softmax


def normal(d):
    return 0.5 * (1 + pt.erf(d * 0.70710678))


def black_scholes(s, k, t):
    spread = 0.3 * pt.sqrt(t)
    d = (pt.log(s / k) + 0.065 * t) / spread
    return s * normal(d) - k * pt.exp(-0.02 * t) * normal(d - spread)


def haversine(a, b, c, d):
    h = pt.sin((c - a) / 2) ** 2 + pt.cos(a) * pt.cos(c) * pt.sin((d - b) / 2) ** 2
    return 12742 * pt.arcsin(pt.sqrt(h))


def gelu(x, b):
    z = x + b
    return 0.5 * z * (1 + pt.tanh(0.79788456 * (z + 0.044715 * z**3)))


def row_moments(x):
    return x.mean(axis=1), x.var(axis=1)


def small_products(x, y):
    return x @ y


def rbf(x, y):
    return pt.exp(-((x[:, None] - y[None]) ** 2).sum(axis=2))


def cosine(x, y):
    return (x * y).sum(axis=1) / pt.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))


def attention(q, k, v):
    n = q.shape[1]
    mask = pt.arange(n)[:, None] >= pt.arange(n)
    return softmax(pt.where(mask, (q @ k.transpose(0, 2, 1)) * 0.125, -1e30), axis=2).astype("float32") @ v


def stencil(x):
    return x[1:-1, 1:-1] + 0.1 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1])


def adam(p, g, m, v):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    return p - 0.001 * m / (pt.sqrt(v) + 1e-8), m, v


def moving_sum(x):
    n = x.shape[0] - 7
    return sum((x[i: n + i] for i in range(1, 8)), x[:n])


def bag(table, index):
    return table[index].mean(axis=1)


def horner(x):
    total = 0.125 * x - 0.25
    for c in (0.5, -1, 2, -0.75, 1.5, 0.375, -0.625):
        total = total * x + c
    return total


def logistic_loss(z, y):
    cost = (pt.softplus(z) - y * z).mean()
    return cost, pt.grad(cost, z)


def column_range(x):
    low = x.min(axis=0)
    return (x - low) / (x.max(axis=0) - low)


def rms_silu(x, g):
    z = x / pt.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6) * g
    return z * pt.sigmoid(z)


def argmax(x):
    return x.argmax(axis=1)


def unit_vector(x):
    return x / pt.sqrt((x**2).sum())
