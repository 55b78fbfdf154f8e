"""What slips look like in a Jacobian; one kind of slip, one file."""
