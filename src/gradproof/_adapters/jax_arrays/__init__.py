"""Costs and functions of JAX as functions of NumPy arrays."""
