"""gradproof: whether, where and why a gradient is wrong, with an honest error bar."""

__version__ = "0.1.0"
