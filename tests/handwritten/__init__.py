"""Layers of PyTorch with hand-written backward passes, right and with one slip each, and models built from them."""

from .layers import LAYERS, Layer
from .models import Case, cases

__all__ = ["LAYERS", "Case", "Layer", "cases"]
