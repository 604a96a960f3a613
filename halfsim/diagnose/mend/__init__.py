"""`hs.mend`: every fix that a machine can apply, applied and measured."""
