"""Class-conditional sound synthesis: a folder of sounds becomes new sounds of each class."""

import os

__version__ = "0.2.0"

# A thread that waits for another one spins for milliseconds before it gives its core away. Beside
# a busy process that costs both threads most of their time. A thirtieth of that wait costs nothing
# on a quiet machine. GNU's OpenMP reads this once, when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
