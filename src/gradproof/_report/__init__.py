"""What a report looks like.

The decision behind it: the content is decided once, in ``outline``, and every form (text, machines) only lays it out.
Nothing is computed here that the report does not hold, and what was not measured is not printed.
"""
