"""Classes of field names."""

from __future__ import annotations

from proxy.http import names


def test_spellings() -> None:
    assert names.spellings(b"a-b-c") == {b"a-b-c", b"a_b-c", b"a-b_c", b"a_b_c"}
    assert names.spellings(b"forwarded") == {b"forwarded"}


def test_the_classes_do_not_overlap() -> None:
    assert not names.END_TO_END & names.HOP_BY_HOP
    assert not names.END_TO_END & names.NOT_NOMINABLE
    assert not names.END_TO_END & names.FORGED


def test_the_table_leaves_out_names_with_rules() -> None:
    table = names.lower_case_table({b"host"})
    assert b"Host" not in table
    assert b"host" not in table
    assert table[b"User-Agent"] == table[b"user-agent"] == b"user-agent"
    assert table[b"ETag"] == b"etag"
    assert all(spelling.lower() == low for spelling, low in table.items())
