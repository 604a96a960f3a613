"""Precision bugs that were reported, one file each: the code that its reporter ran, and what is to be said of it.

A file is imported when its case is asked for. What ``run`` is made of is shown to readers as it stands in the file, so
it is written as they would write it, in fifteen lines at most.
"""
