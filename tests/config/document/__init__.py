"""Tests of `kssl.config.document`."""
