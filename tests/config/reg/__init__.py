"""Tests of `config.reg`, and what they share."""
