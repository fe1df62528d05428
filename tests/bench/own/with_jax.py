"""Our own rows in JAX."""
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm


def black_scholes(s, k, t):
    spread = 0.3 * jnp.sqrt(t)
    d = (jnp.log(s / k) + 0.065 * t) / spread
    return s * norm.cdf(d) - k * jnp.exp(-0.02 * t) * norm.cdf(d - spread)


def haversine(a, b, c, d):
    h = jnp.sin((c - a) / 2) ** 2 + jnp.cos(a) * jnp.cos(c) * jnp.sin((d - b) / 2) ** 2
    return 12742 * jnp.arcsin(jnp.sqrt(h))


def gelu(x, b):
    return jax.nn.gelu(x + b, approximate=True)


def row_moments(x):
    return x.mean(axis=1), x.var(axis=1)


def small_products(x, y):
    return x @ y


def rbf(x, y):
    return jnp.exp(-jnp.sum((x[:, None] - y[None]) ** 2, axis=2))


def cosine(x, y):
    return jnp.sum(x * y, axis=1) / jnp.sqrt(jnp.sum(x * x, axis=1) * jnp.sum(y * y, axis=1))


def attention(q, k, v):
    n = q.shape[1]
    z = jnp.where(jnp.tri(n, dtype=bool), q @ k.transpose(0, 2, 1) * 0.125, -jnp.inf)
    return jax.nn.softmax(z, axis=2) @ v


def stencil(x):
    return x[1:-1, 1:-1] + 0.1 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1])


def adam(p, g, m, v):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    return p - 0.001 * m / (jnp.sqrt(v) + 1e-8), m, v


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
    return jax.value_and_grad(lambda z: jnp.mean(jax.nn.softplus(z) - y * z))(z)


def column_range(x):
    low = x.min(axis=0)
    return (x - low) / (x.max(axis=0) - low)


def rms_silu(x, g):
    return jax.nn.silu(x * jax.lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + 1e-6) * g)


def argmax(x):
    return x.argmax(axis=1)


def unit_vector(x):
    return x / jnp.linalg.norm(x)
