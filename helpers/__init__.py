"""Class-conditional sound synthesis: from a folder of sounds to new sounds of the class asked for."""

__version__ = "0.1.0"
