"""Costs with known gradients, right and deliberately wrong, on which the benchmarks judge gradient checkers.

The decision it rests on: the truth never comes from a finite difference. Every right gradient is written by hand and
the tests compare it with the complex step; every wrong one is made from the right one, so that its true error is known.
"""

from problems.bugs import BUGS, Planted, plant
from problems.convolution import convolution
from problems.core import Array, Params, Problem, complex_step, relative_difference, sampled_gradient
from problems.networks import ACTIVATIONS, STATES, classifier
from problems.residual import residual_network
from problems.smooth import SMOOTH

__all__ = [
    "ACTIVATIONS",
    "BUGS",
    "SMOOTH",
    "STATES",
    "Array",
    "Params",
    "Planted",
    "Problem",
    "classifier",
    "complex_step",
    "convolution",
    "plant",
    "relative_difference",
    "residual_network",
    "sampled_gradient",
]
