"""Run the command line with `python -m kgbuild`."""

from kgbuild.cli import main

main()
