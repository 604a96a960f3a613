"""What a model of a file loses in a narrower format, which of it must stay in float32, and the file that says so."""
