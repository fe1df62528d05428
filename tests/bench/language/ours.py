"""The rows of the tensor language in exprgraph."""
import exprgraph as eg


def running_rows(x):
    return eg.cumsum(x, axis=1)


def running_columns(x):
    return eg.cumsum(x, axis=0)


def picked(x, i):
    return x[i]


def one_hot(y, like):
    return eg.to_one_hot(y, like.shape[0], dtype="float32")


def lookup(table, words):
    return table[words]


def added_rows(table, words, g):
    return eg.inc_subtensor(table[words], g)


def ordered(x):
    return eg.sort(x)


def ordered_rows(x):
    return eg.sort(x, axis=1)


def best(x):
    return eg.topk_and_argtopk(x, 10)


def best_of_rows(x):
    return eg.topk_and_argtopk(x, 10, axis=1)


def order(x):
    return eg.argsort(x)


def found(a, v):
    return eg.searchsorted(a, v)


def selected(x):
    return eg.extract(x > 0, x)
