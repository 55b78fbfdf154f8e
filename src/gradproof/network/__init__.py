"""The L-layer network of the course notes, as plain functions on plain arrays.

The decision behind it: this is a client of gradient checking like any other, and knows nothing of the rest of
gradproof. Names and shapes are the notes': X (n_0, m), W_l (n_l, n_{l-1}), b_l (n_l, 1), parameters W1, b1, ...,
gradients dW1, db1, .... ``cost`` and ``gradients`` are what a check takes. Everything is computed in the floating type
of the parameters, and nothing uses NumPy's global random state.
"""

from gradproof.network.activations import relu, sigmoid, softmax
from gradproof.network.data import load_digits
from gradproof.network.learning import LearningPoint, learning_curve, training_step
from gradproof.network.objective import compute_cost, cost, gradients
from gradproof.network.optimisers import (
    initialize_adam,
    initialize_velocity,
    random_mini_batches,
    update_parameters,
    update_parameters_with_adam,
    update_parameters_with_momentum,
)
from gradproof.network.propagation import backward_propagation, forward_propagation, initialize_parameters
from gradproof.network.training import Training, accuracy, predict, split_examples, train
from gradproof.network.types import LayerCache

__all__ = [
    "LayerCache",
    "LearningPoint",
    "Training",
    "accuracy",
    "backward_propagation",
    "compute_cost",
    "cost",
    "forward_propagation",
    "gradients",
    "initialize_adam",
    "initialize_parameters",
    "initialize_velocity",
    "learning_curve",
    "load_digits",
    "predict",
    "random_mini_batches",
    "relu",
    "sigmoid",
    "softmax",
    "split_examples",
    "train",
    "training_step",
    "update_parameters",
    "update_parameters_with_adam",
    "update_parameters_with_momentum",
]
