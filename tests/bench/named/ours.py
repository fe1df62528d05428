"""The named rows in exprgraph; the gradients of the training steps are taken by eg.grad."""
import exprgraph as eg


def polynomial(x, y):
    return 2 * x + 3 * x * y - x * x


def transcendental(x, y):
    return eg.exp(-x**2) * eg.tanh(y) + eg.log(1 + x**2)


def squared_distance(x, y):
    return ((x - y) ** 2).sum()


def softmax(x):
    return eg.softmax(x)


def layer_norm(x, gain, bias):
    d = x - x.mean(axis=1, keepdims=True)
    return d / eg.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * gain + bias


def logsumexp(x):
    return eg.logsumexp(x, axis=0)


def transposed_sum(x, y):
    return x.T + 2 * y


def product(x, y):
    return x @ y


def dense(x, w, b):
    return eg.relu(x @ w + b)


def product_vector(x, w):
    return x @ w


def logistic_step(x, y, w):
    p = eg.sigmoid(x @ w)
    cost = eg.binary_crossentropy(p, y).mean() + 0.01 * (w**2).sum()
    return cost, w - 0.1 * eg.grad(cost, w)


def perceptron(x, w, b, v, c):
    return eg.softmax(eg.relu(x @ w + b) @ v + c)


def perceptron_step(x, labels, w, b, v, c):
    cost = eg.categorical_crossentropy(perceptron(x, w, b, v, c), labels).mean()
    parameters = [w, b, v, c]
    return (cost, *(p - 0.1 * g for p, g in zip(parameters, eg.grad(cost, parameters), strict=True)))


def prefix_sum(x):
    return eg.cumsum(x, axis=0)
