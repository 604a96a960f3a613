"""Speed and memory beside peers, by one command: ``python -m benchmarks``, see `benchmarks.__main__`."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is imported, whose BLAS reads it then
