"""Tests of the comparison of a canary with the stable release."""
