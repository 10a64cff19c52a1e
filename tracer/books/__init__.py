"""What follows from what was measured: pure, from literals to literals; no I/O, no clock, nothing of the machine."""
