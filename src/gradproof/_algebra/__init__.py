"""What any backward pass must obey, whatever its function: one law, one file, one line in ``laws.LAWS``."""
