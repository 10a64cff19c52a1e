"""python -m tracer is nettrace: for a sudo that does not find the command on its path."""

from tracer.cli import main

main()
