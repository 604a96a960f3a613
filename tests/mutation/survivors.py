"""Mutants that survive because they change nothing that anybody is promised, each with the reason."""

# (file, function, before, after, why)
EQUIVALENT: tuple[tuple[str, str, str, str, str], ...] = ()
