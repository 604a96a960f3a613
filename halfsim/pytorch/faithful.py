"""Placeholder."""
def formula_of(call):
    return None
