"""The named rows in numba: loops, written as numba's users write them for speed; products are np.dot, which numba hands to BLAS."""
import numpy as np
from numba import prange

F = np.float32
ZERO, ONE, TWO, THREE = F(0), F(1), F(2), F(3)


def polynomial(x, y):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = TWO * x[i] + THREE * x[i] * y[i] - x[i] * x[i]
    return out


def transcendental(x, y):
    out = np.empty_like(x)
    for i in prange(x.size):
        s = x[i] * x[i]
        out[i] = np.exp(-s) * np.tanh(y[i]) + np.log(ONE + s)
    return out


def squared_distance(x, y):
    total = ZERO
    for i in prange(x.size):
        d = x[i] - y[i]
        total += d * d
    return total


def softmax(x):
    n, m = x.shape
    out = np.empty_like(x)
    for i in prange(n):
        top = x[i, 0]
        for j in range(1, m):
            top = max(top, x[i, j])
        total = ZERO
        for j in range(m):
            e = np.exp(x[i, j] - top)
            out[i, j] = e
            total += e
        scale = ONE / total
        for j in range(m):
            out[i, j] *= scale
    return out


def layer_norm(x, gain, bias):
    n, m = x.shape
    out = np.empty_like(x)
    for i in prange(n):
        total = ZERO
        for j in range(m):
            total += x[i, j]
        mean = total / F(m)
        total = ZERO
        for j in range(m):
            d = x[i, j] - mean
            total += d * d
        scale = ONE / np.sqrt(total / F(m) + F(1e-5))
        for j in range(m):
            out[i, j] = (x[i, j] - mean) * scale * gain[j] + bias[j]
    return out


def logsumexp(x):
    n, m = x.shape
    width = 64
    out = np.empty(m, x.dtype)
    for block in prange((m + width - 1) // width):
        low, high = block * width, min(m, block * width + width)
        top = x[0, low:high].copy()
        for i in range(1, n):
            for j in range(high - low):
                top[j] = max(top[j], x[i, low + j])
        total = np.zeros(high - low, x.dtype)
        for i in range(n):
            for j in range(high - low):
                total[j] += np.exp(x[i, low + j] - top[j])
        for j in range(high - low):
            out[low + j] = top[j] + np.log(total[j])
    return out


def transposed_sum(x, y):
    n, m = y.shape
    tile = 32
    out = np.empty_like(y)
    for block in prange((n + tile - 1) // tile):
        for left in range(0, m, tile):
            for i in range(block * tile, min(n, block * tile + tile)):
                for j in range(left, min(m, left + tile)):
                    out[i, j] = x[j, i] + TWO * y[i, j]
    return out


def product(x, y):
    return np.dot(x, y)


def dense(x, w, b):
    z = np.dot(x, w)
    n, m = z.shape
    for i in prange(n):
        for j in range(m):
            z[i, j] = max(z[i, j] + b[j], ZERO)
    return z


def product_vector(x, w):
    return np.dot(x, w)


def logistic_step(x, y, w):
    z = np.dot(x, w)
    n = z.size
    total = ZERO
    for i in prange(n):
        e = np.exp(-abs(z[i]))
        total += max(z[i], ZERO) - y[i] * z[i] + np.log(ONE + e)
        p = ONE / (ONE + np.exp(-z[i]))
        z[i] = (p - y[i]) / F(n)
    gradient = np.dot(x.T, z)
    norm = ZERO
    for j in range(w.size):
        norm += w[j] * w[j]
        gradient[j] = w[j] - F(0.1) * (gradient[j] + F(0.02) * w[j])
    return total / F(n) + F(0.01) * norm, gradient


def perceptron(x, w, b, v, c):
    h = np.dot(x, w)
    n, m = h.shape
    for i in prange(n):
        for j in range(m):
            h[i, j] = max(h[i, j] + b[j], ZERO)
    z = np.dot(h, v)
    classes = z.shape[1]
    for i in prange(n):
        top = z[i, 0] + c[0]
        for j in range(classes):
            z[i, j] += c[j]
            top = max(top, z[i, j])
        total = ZERO
        for j in range(classes):
            z[i, j] = np.exp(z[i, j] - top)
            total += z[i, j]
        for j in range(classes):
            z[i, j] /= total
    return z


def perceptron_step(x, labels, w, b, v, c):
    h = np.dot(x, w)
    n, m = h.shape
    for i in prange(n):
        for j in range(m):
            h[i, j] = max(h[i, j] + b[j], ZERO)
    z = np.dot(h, v)
    classes = z.shape[1]
    cost = ZERO
    for i in prange(n):
        top = z[i, 0] + c[0]
        for j in range(classes):
            z[i, j] += c[j]
            top = max(top, z[i, j])
        chosen = z[i, labels[i]] - top
        total = ZERO
        for j in range(classes):
            z[i, j] = np.exp(z[i, j] - top)
            total += z[i, j]
        cost += np.log(total) - chosen
        for j in range(classes):
            z[i, j] /= total * F(n)
        z[i, labels[i]] -= ONE / F(n)
    back = np.dot(z, v.T)
    for i in prange(n):
        for j in range(m):
            if h[i, j] <= ZERO:
                back[i, j] = ZERO
    new_w, new_v = np.dot(x.T, back), np.dot(h.T, z)
    for i in prange(w.shape[0]):
        for j in range(m):
            new_w[i, j] = w[i, j] - F(0.1) * new_w[i, j]
    for i in range(m):
        for j in range(classes):
            new_v[i, j] = v[i, j] - F(0.1) * new_v[i, j]
    new_b, new_c = b.copy(), c.copy()
    for i in range(n):
        for j in range(m):
            new_b[j] -= F(0.1) * back[i, j]
        for j in range(classes):
            new_c[j] -= F(0.1) * z[i, j]
    return cost / F(n), new_w, new_b, new_v, new_c


def prefix_sum(x):
    parts = 8
    n = x.size
    step = (n + parts - 1) // parts
    offsets = np.zeros(parts + 1, x.dtype)
    for p in prange(parts):
        total = ZERO
        for i in range(p * step, min(n, p * step + step)):
            total += x[i]
        offsets[p + 1] = total
    for p in range(parts):
        offsets[p + 1] += offsets[p]
    out = np.empty_like(x)
    for p in prange(parts):
        total = offsets[p]
        for i in range(p * step, min(n, p * step + step)):
            total += x[i]
            out[i] = total
    return out
