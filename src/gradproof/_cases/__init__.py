"""Cases: functions that return a report, how they are found, and what becomes of them.

The decision behind it: marking a function must cost nothing, so only ``marked`` is loaded with the package; looking for
files and running what is in them is left to who does that, the command line and the pytest plugin.
"""

from gradproof._cases.marked import MARK, Case, case, cases, load, require_python_file, select

__all__ = ["MARK", "Case", "case", "cases", "load", "require_python_file", "select"]
