"""Tests of `kssl.config.reg`, and what they share."""
