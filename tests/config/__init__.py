"""Tests of `config`, one file per source file."""
