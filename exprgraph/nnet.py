"""Theano's namespace of neural networks, so that `import exprgraph as T; T.nnet.sigmoid(x)` means what it did."""
from exprgraph.functions.batch_norm import batch_normalization, batch_normalization_test, batch_normalization_train
from exprgraph.functions.classes import confusion_matrix, h_softmax, sparse_block_dot
from exprgraph.functions.ctc import ctc
from exprgraph.functions.nnet import (
    binary_crossentropy,
    categorical_crossentropy,
    cross_entropy_with_logits,
    elu,
    gelu,
    hard_sigmoid,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mse,
    relu,
    selu,
    sigmoid_binary_crossentropy,
    silu,
    softmax,
    softsign,
    ultra_fast_sigmoid,
)
from exprgraph.functions.patches import images2neibs, neibs2images
from exprgraph.ops.transcendental import sigmoid, softplus

logsoftmax, swish, crossentropy_categorical_1hot = log_softmax, silu, categorical_crossentropy

__all__ = [
    "batch_normalization", "batch_normalization_test", "batch_normalization_train", "binary_crossentropy", "categorical_crossentropy",
    "confusion_matrix", "ctc",
    "cross_entropy_with_logits", "crossentropy_categorical_1hot", "elu", "gelu", "h_softmax", "hard_sigmoid", "images2neibs", "leaky_relu",
    "log_sigmoid", "log_softmax", "logsoftmax", "mse", "neibs2images", "relu", "selu", "sigmoid", "sigmoid_binary_crossentropy", "silu",
    "softmax", "softplus", "softsign", "sparse_block_dot", "swish", "ultra_fast_sigmoid"]
