"""One thread: the tensors here are so small that threads wait for each other more than they work."""

import importlib.util

if importlib.util.find_spec("torch") is not None:
    import torch

    torch.set_num_threads(1)
