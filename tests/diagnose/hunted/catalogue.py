"""Programs as people report them, with what must be said of each: class, operation and phase were written down first.

Every run returns its result, so that what mends it can be measured. Importing this registers every file.
"""

from tests.diagnose.hunted import constants, extremes, healthy, sums
from tests.diagnose.hunted.rows import ROWS

__all__ = ["ROWS", "constants", "extremes", "healthy", "sums"]
