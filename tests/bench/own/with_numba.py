"""Our own rows in numba, as loops."""
import math

import numpy as np
from numba import prange

F = np.float32
ZERO, HALF, ONE, TWO, FOUR = F(0), F(0.5), F(1), F(2), F(4)


def black_scholes(s, k, t):
    out = np.empty_like(s)
    for i in prange(s.size):
        spread = F(0.3) * np.sqrt(t[i])
        d = (np.log(s[i] / k[i]) + F(0.065) * t[i]) / spread
        first = HALF * (ONE + math.erf(d * F(0.70710678)))
        second = HALF * (ONE + math.erf((d - spread) * F(0.70710678)))
        out[i] = s[i] * first - k[i] * np.exp(F(-0.02) * t[i]) * second
    return out


def haversine(a, b, c, d):
    out = np.empty_like(a)
    for i in prange(a.size):
        p, q = np.sin((c[i] - a[i]) * HALF), np.sin((d[i] - b[i]) * HALF)
        out[i] = F(12742) * np.arcsin(np.sqrt(p * p + np.cos(a[i]) * np.cos(c[i]) * q * q))
    return out


def gelu(x, b):
    n, m = x.shape
    out = np.empty_like(x)
    for i in prange(n):
        for j in range(m):
            z = x[i, j] + b[j]
            out[i, j] = HALF * z * (ONE + np.tanh(F(0.79788456) * (z + F(0.044715) * z * z * z)))
    return out


def row_moments(x):
    n, m = x.shape
    mean, variance = np.empty(n, x.dtype), np.empty(n, x.dtype)
    for i in prange(n):
        total = ZERO
        for j in range(m):
            total += x[i, j]
        mean[i] = total / F(m)
        total = ZERO
        for j in range(m):
            d = x[i, j] - mean[i]
            total += d * d
        variance[i] = total / F(m)
    return mean, variance


def small_products(x, y):
    n, k, m = x.shape[0], x.shape[1], y.shape[2]
    out = np.zeros((n, k, m), x.dtype)
    for b in prange(n):
        for i in range(k):
            for l in range(x.shape[2]):
                for j in range(m):
                    out[b, i, j] += x[b, i, l] * y[b, l, j]
    return out


def rbf(x, y):
    n, m, k = x.shape[0], y.shape[0], x.shape[1]
    out = np.empty((n, m), x.dtype)
    for i in prange(n):
        for j in range(m):
            total = ZERO
            for l in range(k):
                d = x[i, l] - y[j, l]
                total += d * d
            out[i, j] = np.exp(-total)
    return out


def cosine(x, y):
    n, m = x.shape
    out = np.empty(n, x.dtype)
    for i in prange(n):
        both, first, second = ZERO, ZERO, ZERO
        for j in range(m):
            both += x[i, j] * y[i, j]
            first += x[i, j] * x[i, j]
            second += y[i, j] * y[i, j]
        out[i] = both / np.sqrt(first * second)
    return out


def attention(q, k, v):
    out = np.empty_like(q)
    for h in prange(q.shape[0]):
        z = np.dot(q[h], k[h].T)
        for i in range(z.shape[0]):
            top = z[i, 0]
            for j in range(1, i + 1):
                top = max(top, z[i, j])
            total = ZERO
            for j in range(i + 1):
                z[i, j] = np.exp((z[i, j] - top) * F(0.125))
                total += z[i, j]
            for j in range(i + 1):
                z[i, j] /= total
            for j in range(i + 1, z.shape[1]):
                z[i, j] = ZERO
        out[h] = np.dot(z, v[h])
    return out


def stencil(x):
    n, m = x.shape
    out = np.empty((n - 2, m - 2), x.dtype)
    for i in prange(1, n - 1):
        for j in range(1, m - 1):
            around = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]
            out[i - 1, j - 1] = x[i, j] + F(0.1) * (around - FOUR * x[i, j])
    return out


def adam(p, g, m, v):
    new_p, new_m, new_v = np.empty_like(p), np.empty_like(p), np.empty_like(p)
    for i in prange(p.size):
        new_m[i] = F(0.9) * m[i] + F(0.1) * g[i]
        new_v[i] = F(0.999) * v[i] + F(0.001) * g[i] * g[i]
        new_p[i] = p[i] - F(0.001) * new_m[i] / (np.sqrt(new_v[i]) + F(1e-8))
    return new_p, new_m, new_v


def moving_sum(x):
    n = x.size - 7
    out = np.empty(n, x.dtype)
    for i in prange(n):
        out[i] = x[i] + x[i + 1] + x[i + 2] + x[i + 3] + x[i + 4] + x[i + 5] + x[i + 6] + x[i + 7]
    return out


def bag(table, index):
    n, words = index.shape
    width = table.shape[1]
    out = np.zeros((n, width), table.dtype)
    for i in prange(n):
        for w in range(words):
            for j in range(width):
                out[i, j] += table[index[i, w], j]
        for j in range(width):
            out[i, j] /= F(words)
    return out


def horner(x):
    out = np.empty_like(x)
    for i in prange(x.size):
        total = (F(0.125) * x[i] - F(0.25)) * x[i] + HALF
        total = ((total * x[i] - ONE) * x[i] + TWO) * x[i] - F(0.75)
        out[i] = ((total * x[i] + F(1.5)) * x[i] + F(0.375)) * x[i] - F(0.625)
    return out


def logistic_loss(z, y):
    n = z.size
    gradient = np.empty_like(z)
    total = ZERO
    for i in prange(n):
        e = np.exp(-abs(z[i]))
        total += max(z[i], ZERO) - y[i] * z[i] + np.log(ONE + e)
        gradient[i] = ((ONE if z[i] > ZERO else e) / (ONE + e) - y[i]) / F(n)
    return total / F(n), gradient


def column_range(x):
    n, m = x.shape
    out = np.empty_like(x)
    for block in prange((m + 63) // 64):
        left, right = 64 * block, min(m, 64 * block + 64)
        low, high = x[0, left:right].copy(), x[0, left:right].copy()
        for i in range(1, n):
            for j in range(right - left):
                low[j] = min(low[j], x[i, left + j])
                high[j] = max(high[j], x[i, left + j])
        for i in range(n):
            for j in range(right - left):
                out[i, left + j] = (x[i, left + j] - low[j]) / (high[j] - low[j])
    return out


def rms_silu(x, g):
    n, m = x.shape
    out = np.empty_like(x)
    for i in prange(n):
        total = ZERO
        for j in range(m):
            total += x[i, j] * x[i, j]
        scale = ONE / np.sqrt(total / F(m) + F(1e-6))
        for j in range(m):
            z = x[i, j] * scale * g[j]
            out[i, j] = z / (ONE + np.exp(-z))
    return out


def argmax(x):
    n, m = x.shape
    out = np.empty(n, np.int64)
    for i in prange(n):
        best = 0
        for j in range(1, m):
            if x[i, j] > x[i, best]:
                best = j
        out[i] = best
    return out


def unit_vector(x):
    total = ZERO
    for i in range(x.size):
        total += x[i] * x[i]
    scale = ONE / np.sqrt(total)
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = x[i] * scale
    return out
