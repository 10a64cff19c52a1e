"""SIGINT and SIGTERM: raised once, and looked at besides, so that none is lost.

A KeyboardInterrupt that is raised inside a __del__, a weakref callback or a ctypes callback is swallowed by Python. So
the interrupt is also remembered: whoever is about to wait polls the descriptor `wake`, and whoever is about to begin
something calls look(). Signals belong to a process as a whole; hence the one object of this module.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)
_SOON_S = 0.01


class Interrupts:
    """The first signal raises KeyboardInterrupt; later ones do not, so that they cannot cut the undoing short.

    One that was swallowed comes again a moment later, by SIGALRM, for whoever neither polls nor looks.

    Attributes:
        came: Whether a signal has come.
        wake: Readable once one has; never read. None before install(): then Python's own handlers are at work. It is
            written to when the signal arrives, not when Python gets to its handler: one that comes just before poll(2)
            interrupts no call.
        ignored: Signals that whoever started us has ignored (a shell does SIGINT for what it starts with &). They are
            obeyed here all the same, and are ignored by a command that we start.
    """

    def __init__(self) -> None:
        self.came = False
        self.wake: int | None = None
        self.ignored: frozenset[int] = frozenset()
        self._raises = False

    def install(self) -> None:
        """Take both signals, in the main thread; a forked child calls it anew."""
        self.came, self._raises = False, True
        self.ignored |= {number for number in _ENDING if signal.getsignal(number) is signal.SIG_IGN}
        self.wake, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        sys.unraisablehook = self._swallowed
        for number in (*_ENDING, signal.SIGALRM):
            signal.signal(number, self._handle)

    def take(self, number: signal.Signals) -> None:
        """One more signal that ends, unless whoever started us has it ignored (nohup)."""
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, self._handle)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        self.came = True
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt

    def _swallowed(self, what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is KeyboardInterrupt:
            self._raises = True
            # Not at once: that would be inside of this hook, and be dropped as well.
            signal.setitimer(signal.ITIMER_REAL, _SOON_S)
        else:
            sys.__unraisablehook__(what)

    def look(self) -> None:
        """Before something new begins: raises the interrupt that was swallowed, or that came while they were held."""
        if self.came:
            self._raises = False
            raise KeyboardInterrupt

    def hold(self) -> None:
        """From here on signals are remembered, and raised by look() alone: something is undone that must not stop."""
        self._raises = False

    def resume(self) -> None:
        """Signals raise again, unless one has come: that one is look()'s."""
        self._raises = self.wake is not None and not self.came

    def ignore(self) -> None:
        """All is done and said; what comes now comes too late.

        Blocked, not set to SIG_IGN: one that has come but was not yet handled is then told by Python as an error of its
        own, and at its end Python gives handlers back to the system, which would end the process.
        """
        self._raises = False
        signal.pthread_sigmask(signal.SIG_BLOCK, (*_ENDING, signal.SIGALRM))


interrupts = Interrupts()
