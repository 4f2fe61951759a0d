"""Ctrl-C and the stop button of a notebook, taken at a good moment."""

import signal
import threading


class StopButton:
    """While this is open, a press is kept in `pressed`, and a second press ends the work at once.

    Processes that this one has started, such as a compiler's, get the press too and may fail.
    Only the main thread can be interrupted. In another thread, or where interrupts are ignored,
    this does nothing.
    """

    def __init__(self):
        self.pressed = False
        self.usual = None

    def __enter__(self) -> "StopButton":
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and callable(signal.getsignal(signal.SIGINT)):
            self.usual = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, kind, error, _) -> None:
        if self.usual:
            signal.signal(signal.SIGINT, self.usual)
        if self.pressed and isinstance(error, Exception):  # as of a compiler that got the press
            raise KeyboardInterrupt("stopped in mid-step; the last checkpoint stays") from error

    def _press(self, *_) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        print("\nstopping after this step; stop again to leave at once, with the last checkpoint")
