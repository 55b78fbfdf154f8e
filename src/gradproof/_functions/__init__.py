"""Functions, modules and second derivatives, each turned into a cost with a claimed gradient.

The decision behind it: there is one engine, and it judges costs. A function of several values becomes the cost
cotangent . f; a module becomes its named parameters; a Hessian becomes the gradient of direction . gradient. What no
measured derivative sees, the laws of a backward pass (``_algebra``) do; all of it ends in one report.
"""

from gradproof._functions.functions import check_function
from gradproof._functions.hessians import check_hessian
from gradproof._functions.modules import check_module

__all__ = ["check_function", "check_hessian", "check_module"]
