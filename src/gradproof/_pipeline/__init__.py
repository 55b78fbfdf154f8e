"""What the methods of a check have in common and how each goes about it; ``_check`` puts them in order."""
