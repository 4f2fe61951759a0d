"""Class-conditional sound synthesis: a folder of sounds becomes new sounds of each class."""

__version__ = "0.1.0"
