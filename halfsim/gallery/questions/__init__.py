"""The questions that people ask of float16, the usual answers judged, and numbers that are computed for each."""
