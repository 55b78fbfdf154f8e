"""Costs and functions of TensorFlow, and models of Keras, as functions of NumPy arrays."""
