"""From a wrong gradient to its cause; one cause, one file, one line in ``table.CAUSES``."""
