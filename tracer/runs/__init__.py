"""Doing it: an experiment on this kernel or in the lab, from the first process to the recording. It prints nothing."""
