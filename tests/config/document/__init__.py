"""Tests of `config.document`."""
