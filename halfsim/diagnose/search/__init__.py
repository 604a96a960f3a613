"""The smallest part of a model that must stay in a wider precision."""
