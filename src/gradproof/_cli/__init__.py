"""The command line.

The decision behind it: one file a command, each a function from a stream and what was asked for to an exit status.
Results go to standard output, everything else to standard error.
"""
