"""Models and slips written without knowledge of the package, to see what it says of gradients nobody tuned it on."""
