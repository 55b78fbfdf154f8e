"""Functions of numbers: noise, slopes, bounds, random numbers. No names, no frameworks, no verdicts."""
