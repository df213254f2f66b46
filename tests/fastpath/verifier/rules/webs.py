"""Webs of CAs that hypothesis draws: few names and few keys, so that everything seems to be the
issuer of everything; and who is trusted in one, by a search that has nothing of ours in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from tests.fastpath.verifier.rules.pki import DAY, Made, name, sign

NAMES = ("A", "B", "C", "D")
KEYS = 6
LEAF_KEY = KEYS


@dataclass(frozen=True, slots=True)
class Spec:
    """One certificate: who it is for, and who signed it. ``number`` tells apart what is the same
    otherwise."""

    subject: str
    key: int
    issuer: str
    signer: int
    ca: bool = True
    expired: bool = False
    number: int = 0

    @property
    def certificate(self) -> x509.Certificate:
        return made(self).certificate

    @property
    def der(self) -> bytes:
        return made(self).der


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def made(spec: Spec) -> Made:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if spec.ca:
        extensions.append((x509.BasicConstraints(True, None), True))
    signed = sign(
        name(spec.subject), name(spec.issuer), key(spec.key).public_key(), key(spec.signer),
        extensions, until=-DAY if spec.expired else 100 * DAY, serial=1000 + spec.number,
    )  # fmt: skip
    return Made(signed, key(spec.key))


_keys = st.integers(0, KEYS - 1)
_names = st.sampled_from(NAMES)
_seldom = st.integers(0, 9).map(lambda number: number == 0)

cas = st.builds(
    Spec, _names, _keys, _names, _keys,
    ca=_seldom.map(lambda no: not no), expired=_seldom, number=st.integers(0, 1),
)  # fmt: skip
leaves = st.builds(Spec, st.just("leaf"), st.just(LEAF_KEY), _names, _keys, ca=st.just(False))
anchors = st.builds(Spec, _names, _keys, _names, _keys)


@dataclass(frozen=True, slots=True)
class Web:
    leaf: Spec
    others: tuple[Spec, ...]  # presented behind it
    anchors: tuple[Spec, ...]

    @property
    def presented(self) -> list[bytes]:
        return [self.leaf.der, *(each.der for each in self.others)]


def webs(most: int, *, dense: bool = False) -> st.SearchStrategy[Web]:
    """With ``most`` certificates behind the client's own, each once. ``dense``: not many fewer."""
    return st.builds(
        Web,
        leaves,
        st.lists(cas, min_size=most - 4 if dense else 0, max_size=most, unique=True).map(tuple),
        st.lists(anchors, min_size=1, max_size=3, unique=True).map(tuple),
    )


def distance(web: Web) -> int | None:
    """CAs between the client's certificate and the nearest trusted one; None: it is not trusted."""
    frontier, seen, steps = {web.leaf}, {web.leaf}, 0
    while frontier:
        above = {each for each in web.anchors if any(issued(each, below) for below in frontier)}
        if above:
            return steps
        frontier = {
            each
            for each in web.others
            if each not in seen and usable(each) and any(issued(each, one) for one in frontier)
        }
        seen |= frontier
        steps += 1
    return None


def usable(spec: Spec) -> bool:
    return spec.ca and not spec.expired


def issued(issuer: Spec, certificate: Spec) -> bool:
    return (issuer.subject, issuer.key) == (certificate.issuer, certificate.signer)


def damaged(ders: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of these, cut short, with something behind it, or with bytes changed."""

    def cut(der: bytes, at: int) -> bytes:
        return der[: at % len(der)]

    def grown(der: bytes, at: int) -> bytes:
        return der + bytes(at % 40 + 1)

    def flipped(der: bytes, at: int) -> bytes:
        changed = bytearray(der)
        changed[at % len(der)] ^= 1 + at % 255
        return bytes(changed)

    how: list[Callable[[bytes, int], bytes]] = [cut, grown, flipped]
    return st.builds(
        lambda act, der, at: act(der, at),
        st.sampled_from(how), st.sampled_from(ders), st.integers(0, 1 << 20),
    )  # fmt: skip
