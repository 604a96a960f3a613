"""Headline results of papers on rounding, reproduced on a laptop, behind ``hs.gallery.papers``."""
