"""The rows of the tensor language in NumPy."""
import numpy as np


def running_rows(x):
    return np.cumsum(x, axis=1)


def running_columns(x):
    return np.cumsum(x, axis=0)


def picked(x, i):
    return np.take(x, i)


def one_hot(y, like):
    out = np.zeros((y.size, like.size), like.dtype)
    out[np.arange(y.size), y] = 1
    return out


def lookup(table, words):
    return np.take(table, words, axis=0)


def added_rows(table, words, g):
    out = table.copy()
    np.add.at(out, words, g)
    return out


def ordered(x):
    return np.sort(x)


def ordered_rows(x):
    return np.sort(x, axis=1)


def best(x):
    some = np.argpartition(x, x.size - 10)[x.size - 10:]
    places = some[np.argsort(-x[some])]
    return x[places], places


def best_of_rows(x):
    some = np.argpartition(x, x.shape[1] - 10, axis=1)[:, x.shape[1] - 10:]
    order = np.argsort(-np.take_along_axis(x, some, 1), axis=1)
    places = np.take_along_axis(some, order, 1)
    return np.take_along_axis(x, places, 1), places


def order(x):
    return np.argsort(x, kind="stable")


def found(a, v):
    return np.searchsorted(a, v)


def selected(x):
    return x[x > 0]
