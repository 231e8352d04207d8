"""Held-out things in, figures out: one file for each kind of thing that is held out."""
