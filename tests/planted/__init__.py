"""Networks with planted faults, to score a diagnosis on."""
