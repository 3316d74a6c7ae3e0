"""Tests of what is particular to the command line; most commands are tested with their duty."""
