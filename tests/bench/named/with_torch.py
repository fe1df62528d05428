"""The named rows in PyTorch; gradients are written out, which costs less than autograd on sizes like these."""
import torch
from torch.nn import functional


def polynomial(x, y):
    return 2 * x + 3 * x * y - x * x


def transcendental(x, y):
    square = x * x
    return torch.exp(-square) * torch.tanh(y) + torch.log1p(square)


def squared_distance(x, y):
    return torch.sum((x - y) ** 2)


def softmax(x):
    return torch.softmax(x, dim=1)


def layer_norm(x, gain, bias):
    return functional.layer_norm(x, gain.shape, gain, bias, 1e-5)


def logsumexp(x):
    return torch.logsumexp(x, dim=0)


def transposed_sum(x, y):
    return x.T + 2 * y


def product(x, y):
    return x @ y


def dense(x, w, b):
    return torch.relu(torch.addmm(b, x, w))


def product_vector(x, w):
    return x @ w


def logistic_step(x, y, w):
    z = x @ w
    cost = functional.binary_cross_entropy_with_logits(z, y) + 0.01 * torch.dot(w, w)
    gradient = x.T @ ((torch.sigmoid(z) - y) / len(y)) + 0.02 * w
    return cost, w - 0.1 * gradient


def perceptron(x, w, b, v, c):
    return torch.softmax(torch.addmm(c, dense(x, w, b), v), dim=1)


def perceptron_step(x, labels, w, b, v, c):
    h = dense(x, w, b)
    z = torch.addmm(c, h, v)
    cost = functional.cross_entropy(z, labels)
    d = (torch.softmax(z, dim=1) - functional.one_hot(labels, z.shape[1])) / len(x)
    back = (d @ v.T) * (h > 0)
    return (cost, w - 0.1 * (x.T @ back), b - 0.1 * back.sum(dim=0), v - 0.1 * (h.T @ d), c - 0.1 * d.sum(dim=0))


def prefix_sum(x):
    return torch.cumsum(x, dim=0)
