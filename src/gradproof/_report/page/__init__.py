"""A report as one page for a browser, with everything in it: no other file, no network.

The decision behind it: all that is said stands in the markup, so that it can be read without scripts, searched and
read aloud; scripts only draw the pictures and sort the tables. Nothing from a report reaches the page other than
escaped, and the page's own policy forbids it to load or send anything.
"""

from gradproof._report.page.whole import render, write

__all__ = ["render", "write"]
