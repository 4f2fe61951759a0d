"""Class-conditional sound synthesis: a folder of sounds becomes new sounds of each class."""

import os

__version__ = "0.1.0"

# A thread that waits for another one turns in a circle for milliseconds before it gives its core
# away. Where another process holds that other thread up, a thirtieth of that is better: training
# with two threads on two cores then loses five sixths of its pace instead of 98 %, and nothing on
# a quiet machine. GNU's OpenMP reads this once, when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
