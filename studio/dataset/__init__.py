"""Files in, examples out: read, mapped to columns, examined, split and frozen."""
