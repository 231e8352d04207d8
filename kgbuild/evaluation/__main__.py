"""Fit the calibration that ships with the program, and report on it: `python -m kgbuild.evaluation --help`."""

from kgbuild.evaluation.mapping import main

main()
