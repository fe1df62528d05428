"""The named rows in PyTensor, with pytensor.tensor.grad for the training steps."""
import pytensor.tensor as pt
from pytensor.tensor.special import softmax as over_axis


def polynomial(x, y):
    return 2 * x + 3 * x * y - x * x


def transcendental(x, y):
    return pt.exp(-(x**2)) * pt.tanh(y) + pt.log1p(x**2)


def squared_distance(x, y):
    return ((x - y) ** 2).sum()


def softmax(x):
    return over_axis(x, axis=1)


def layer_norm(x, gain, bias):
    d = x - x.mean(axis=1, keepdims=True)
    return d / pt.sqrt((d**2).mean(axis=1, keepdims=True) + 1e-5) * gain + bias


def logsumexp(x):
    return pt.logsumexp(x, axis=0)


def transposed_sum(x, y):
    return x.T + 2 * y


def product(x, y):
    return x @ y


def dense(x, w, b):
    return pt.maximum(x @ w + b, 0)


def product_vector(x, w):
    return x @ w


def logistic_step(x, y, w):
    p = pt.sigmoid(x @ w)
    cost = -(y * pt.log(p) + (1 - y) * pt.log(1 - p)).mean() + 0.01 * (w**2).sum()
    return cost, w - 0.1 * pt.grad(cost, w)


def perceptron(x, w, b, v, c):
    return over_axis(dense(x, w, b) @ v + c, axis=1)


def perceptron_step(x, labels, w, b, v, c):
    p = perceptron(x, w, b, v, c)
    cost = -pt.log(p[pt.arange(x.shape[0]), labels]).mean()
    parameters = [w, b, v, c]
    return (cost, *(p - 0.1 * g for p, g in zip(parameters, pt.grad(cost, parameters), strict=True)))


def prefix_sum(x):
    return pt.cumsum(x)
