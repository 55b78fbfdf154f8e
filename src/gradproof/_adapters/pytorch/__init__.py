"""Costs, functions and modules of PyTorch as functions of NumPy arrays."""
