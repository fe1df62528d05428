"""The rows of the tensor language as loops for numba."""
import numpy as np
from numba import prange


def running_rows(x):
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += x[i, j]
            out[i, j] = total
    return out


def running_columns(x):
    n, m = x.shape
    out = np.empty_like(x)
    parts = 4
    for part in prange(parts):
        left, right = part * m // parts, (part + 1) * m // parts
        for j in range(left, right):
            out[0, j] = x[0, j]
        for i in range(1, n):
            for j in range(left, right):
                out[i, j] = out[i - 1, j] + x[i, j]
    return out


def picked(x, i):
    out = np.empty(i.size, x.dtype)
    for k in prange(i.size):
        out[k] = x[i[k]]
    return out


def one_hot(y, like):
    out = np.zeros((y.size, like.size), like.dtype)
    for i in prange(y.size):
        out[i, y[i]] = 1
    return out


def lookup(table, words):
    out = np.empty((words.size, table.shape[1]), table.dtype)
    for i in prange(words.size):
        for j in range(table.shape[1]):
            out[i, j] = table[words[i], j]
    return out


def added_rows(table, words, g):
    out = table.copy()
    for i in range(words.size):
        for j in range(table.shape[1]):
            out[words[i], j] += g[i, j]
    return out


def ordered(x):
    return np.sort(x)


def order(x):
    return np.argsort(x, kind="mergesort")


def found(a, v):
    return np.searchsorted(a, v)


def selected(x):
    return x.ravel()[x.ravel() > 0]
