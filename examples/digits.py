"""Handwritten digits: logistic regression and a two-layer perceptron, trained on the 1,797 real images that scikit-learn ships.

Run `python examples/digits.py`; `--model`, `--states`, `--epochs` and `--device` change what it does.
"""
from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import exprgraph as eg

HIDDEN = {"logistic": (), "perceptron": (64,)}
SETTINGS = {"logistic": (0.5, 60), "perceptron": (0.2, 40)}
BATCH, DECAY = 32, 1e-4


def load(state):
    """Images scaled to 0 .. 1 and their labels, a quarter of each digit kept for the test."""
    digits = load_digits()
    images = (digits.data / 16).astype("float32")
    return train_test_split(images, digits.target.astype("int64"), test_size=0.25, stratify=digits.target, random_state=state)


def initial(model, rng):
    """Starting weights and biases, layer by layer, as float32 arrays."""
    widths = (64, *HIDDEN[model], 10)
    gain = 2.0 if HIDDEN[model] else 0.01
    return [p for m, n in zip(widths, widths[1:])
            for p in ((rng.standard_normal((m, n)) * np.sqrt(gain / m)).astype("float32"), np.zeros(n, "float32"))]


def logits(x, parameters):
    """The unnormalised log-probabilities of the ten digits."""
    *hidden, last = zip(parameters[::2], parameters[1::2])
    for weights, bias in hidden:
        x = eg.relu(x @ weights + bias)
    return x @ last[0] + last[1]


def build(model, start, images, labels, rate, device=None):
    """The training step, the prediction, and the shared variables: parameters and the order in which images are visited."""
    x, y, batch = eg.matrix("x"), eg.lvector("y"), eg.lscalar("batch")
    parameters = [eg.shared(p, name=f"{'wb'[k % 2]}{k // 2}") for k, p in enumerate(start)]
    data, target = eg.shared(images, name="images"), eg.shared(labels, name="labels")
    order = eg.shared(np.arange(len(images)), name="order")

    scores = logits(x, parameters)
    cost = eg.cross_entropy_with_logits(scores, y).mean()
    for weights in parameters[::2]:
        cost = cost + DECAY / 2 * (weights ** 2).sum()
    gradients = eg.grad(cost, parameters)
    rows = order[batch * BATCH:(batch + 1) * BATCH]
    train = eg.compile([batch], cost, updates={p: p - rate * g for p, g in zip(parameters, gradients)},
                       givens={x: data[rows], y: target[rows]}, device=device, name="train")
    predict = eg.compile([x], scores.argmax(axis=1), device=device, name="predict")
    return train, predict, parameters, order


def fit(model, state, epochs=None, device=None, show=print):
    """Train one model on one split of the data; its accuracy on the test images."""
    rate, default = SETTINGS[model]
    images, test_images, labels, test_labels = load(state)
    rng = np.random.default_rng(state)
    train, predict, _, order = build(model, initial(model, rng), images, labels, rate, device)
    began = time.perf_counter()
    for epoch in range(1, (epochs or default) + 1):
        order.set_value(rng.permutation(len(images)))
        losses = [float(train(batch)) for batch in range(-(-len(images) // BATCH))]
        if epoch % 20 == 0:
            show(f"  epoch {epoch:3d}  mean loss {np.mean(losses):.4f}  {time.perf_counter() - began:5.1f} s")
    accuracy = float((predict(test_images) == test_labels).mean())
    show(f"{model}, split {state}: accuracy {accuracy:.4f} on {len(test_labels)} test images")
    return accuracy


def main():
    """Train the models asked for over several splits and print the mean accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*HIDDEN, "both"], default="both")
    parser.add_argument("--states", type=int, default=5, help="how many random splits")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device")
    chosen = parser.parse_args()
    for model in HIDDEN if chosen.model == "both" else [chosen.model]:
        found = [fit(model, state, chosen.epochs, chosen.device) for state in range(chosen.states)]
        print(f"{model}: mean accuracy {np.mean(found):.4f} over {chosen.states} splits")


if __name__ == "__main__":
    main()
