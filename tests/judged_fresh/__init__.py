"""Eighteen models that a judge wrote with no knowledge of the package, and what is said of their gradients."""
