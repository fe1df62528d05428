"""The named rows in NumPy; run on float64 they are the reference of every engine."""
import numpy as np


def polynomial(x, y):
    return 2 * x + 3 * x * y - x * x


def transcendental(x, y):
    square = x * x
    return np.exp(-square) * np.tanh(y) + np.log1p(square)


def squared_distance(x, y):
    d = x - y
    return d @ d


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


def layer_norm(x, gain, bias):
    d = x - x.mean(axis=1, keepdims=True)
    d /= np.sqrt(np.mean(d * d, axis=1, keepdims=True) + 1e-5)
    d *= gain
    d += bias
    return d


def logsumexp(x):
    top = x.max(axis=0)
    return top + np.log(np.exp(x - top).sum(axis=0))


def transposed_sum(x, y):
    return x.T + 2 * y


def product(x, y):
    return x @ y


def dense(x, w, b):
    z = x @ w
    z += b
    return np.maximum(z, 0, out=z)


def product_vector(x, w):
    return x @ w


def logistic_step(x, y, w):
    z = x @ w
    p = 1 / (1 + np.exp(-z))
    cost = np.mean(np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))) + 0.01 * (w @ w)
    gradient = (p - y) / len(y) @ x + 0.02 * w
    return cost, w - 0.1 * gradient


def perceptron(x, w, b, v, c):
    return softmax(dense(x, w, b) @ v + c)


def perceptron_step(x, labels, w, b, v, c):
    h = dense(x, w, b)
    z = h @ v + c
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    cost = np.mean(np.log(total[:, 0]) - z[rows, labels])
    e /= total
    e[rows, labels] -= 1
    e /= len(x)
    back = e @ v.T
    back *= h > 0
    return (cost, w - 0.1 * (x.T @ back), b - 0.1 * back.sum(axis=0), v - 0.1 * (h.T @ e), c - 0.1 * e.sum(axis=0))


def prefix_sum(x):
    return np.cumsum(x)
