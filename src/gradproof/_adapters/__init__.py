"""One file per framework: the only rooms that know what an array of it is."""
