"""From a wrong tensor to its wrong elements; one file per way of looking."""
