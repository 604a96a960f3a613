"""How many digits are left: a run under random rounding, many times, beside the same run in float64."""
