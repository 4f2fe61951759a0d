"""Ctrl-C and the stop button of a notebook, taken at a good moment."""

import signal
import threading


class StopButton:
    """While this is open a press is noted in `pressed`, so that the work can end whole; a second one ends it at once.

    Processes that this one has started, such as a compiler's, are interrupted by the press itself, and may fail.
    Only the main thread can be interrupted; in another, or where interrupts are ignored, this does nothing.
    """

    def __init__(self):
        self.pressed, self.usual = False, None

    def __enter__(self) -> "StopButton":
        of_main = threading.current_thread() is threading.main_thread()
        if of_main and callable(signal.getsignal(signal.SIGINT)):
            self.usual = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_) -> None:
        if self.usual:
            signal.signal(signal.SIGINT, self.usual)

    def _note(self, *_) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        print("\nstopping after this step; stop again to leave at once, with the last checkpoint")
