"""Allow and deny."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules.names import dn_text
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.rules import MAX_NAMES, MAX_RULES, parse_rule
from kssl.fastpath.verifier.rules.verdict import Kind, Outcome
from tests.examples import examples
from tests.fastpath.verifier.rules.pki import Made, elements, self_signed, sequence, sign
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, ROOT, ask, refused, untrusted

SAN = x509.SubjectAlternativeName([
    x509.DNSName("Host.Example.org"), x509.DNSName("a.b.example.net"), x509.DNSName("*.wild.org"),
    x509.DNSName(".dot.org"), x509.RFC822Name("@nobody.org"),
    x509.RFC822Name("User@Example.org"),
    x509.UniformResourceIdentifier("spiffe://example.org/app/one"),
    x509.UniformResourceIdentifier("spiffe://example.org/up/../two"),
    x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
    x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
])  # fmt: skip
CA = self_signed("CN=Big  ca,OU=x+L=y,O=Foo,C=DE")
NAMED = CA.issue("CN=named", (SAN, False))
DIGEST = NAMED.certificate.fingerprint(SHA256()).hex()


@pytest.mark.parametrize(
    "text",
    [
        "issuer:CN=Big ca,OU=x+L=y,O=Foo,C=DE", "issuer:CN=BIG CA,L=Y+OU=X,O=foo,C=de",
        "issuer:*,O=Foo,C=DE", "issuer:*,C=DE", "issuer:*,CN=Big ca,OU=x+L=y,O=Foo,C=DE",
        "dns:host.example.org", "DNS:HOST.example.org.", "dns:*.example.org", "dns:*.b.example.net",
        "dns:*.wild.org", "email:User@example.ORG", "email:*@example.org",
        "uri:spiffe://example.org/app/one", "uri:spiffe://example.org/*",
        "uri:spiffe://example.org/app/*", "ip:192.0.2.7", "ip:192.0.2.0/24", "ip:2001:db8::7",
        "ip:2001:db8::/32", f"fingerprint:{DIGEST}", f"fingerprint:{DIGEST.upper()}",
        "fingerprint:" + ":".join(DIGEST[at : at + 2] for at in range(0, 64, 2)),
    ],
)  # fmt: skip
def test_what_matches(text: str) -> None:
    assert parse_rule(text).matches(NAMED.certificate)
    assert not parse_rule(text).matches(LEAF.certificate)


@pytest.mark.parametrize(
    "text",
    [
        "issuer:CN=Big ca", "issuer:O=Foo,C=DE", "issuer:*,O=Foo", "issuer:*,O=Foo,C=AT",
        "issuer:*,O=Fo,C=DE", "issuer:C=DE,O=Foo,OU=x+L=y,CN=Big ca", "issuer:O=Big ca,C=DE",
        "dns:example.org", "dns:*.org", "dns:x.host.example.org", "dns:*.host.example.org",
        "dns:*.example.net", "dns:a.wild.org", "dns:*.dot.org",
        "email:*@nobody.org", "email:user@example.org", "email:*@host.example.org",
        "email:ser@example.org", "uri:spiffe://example.org/app", "uri:spiffe://example.org/up/*",
        "uri:SPIFFE://example.org/app/one", "ip:192.0.2.8", "ip:192.0.2.0/29", "ip:::/128",
        f"fingerprint:{'0' * 64}",
    ],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    rule = parse_rule(text)
    if text == "ip:192.0.2.0/29":
        assert rule.matches(NAMED.certificate)  # .7 is the last of them
        rule = parse_rule("ip:192.0.2.0/30")
    assert not rule.matches(NAMED.certificate)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a rule; write one of issuer:DN"), ("alice", "is not a rule"),
        ("subject:CN=a", "is not a rule"), ("dns:", "is not a rule"), (":a", "is not a rule"),
        ("dns:" + "a" * 3000, "is not a rule"),
        ("issuer:Foo", "not a name as RFC 4514"), ("issuer:CN=a, O=b", "no space after a comma"),
        ("issuer:*,", "not a name"), ("issuer:*", "not a name"), ("issuer:cn=a", "in capitals"),
        ("dns:*", "not a host name"), ("dns:a.*.org", "not a host name"),
        ("dns:bücher.example", "in ASCII"), ("dns:a/b", "not a host name"),
        ("email:user", "not user@host"), ("email:@host", "not user@host"),
        ("email:*@*.host", "not user@host"), ("email:u*@host", "not user@host"),
        ("uri:*", "* may only stand at the end"), ("uri:https://a.example*", "behind the host"),
        ("uri:https://*/", "may only"), ("uri:https://a/*/b", "may only"),
        ("uri:https://a/?q=*", "may only"),
        ("ip:300.1.1.1", "neither an IP address"), ("ip:192.0.2.1/24", "neither"),
        ("fingerprint:00", "not a SHA-256 fingerprint"), ("fingerprint:" + "0" * 65, "SHA-256"),
        ("fingerprint:" + "0:" * 32, "SHA-256"),
    ],
)  # fmt: skip
def test_errors(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as found:
        Policy.prepare([], allow=[text])
    assert words in str(found.value)
    assert repr(text)[:100] in str(found.value)
    with pytest.raises(ConfigError):
        Policy.prepare([], deny=[text])


def test_a_number_of_rules() -> None:
    rules = ["dns:a.example"] * MAX_RULES
    Policy.prepare([], deny=rules)
    with pytest.raises(ConfigError, match="more than 1000 rules"):
        Policy.prepare([], allow=["dns:b.example"], deny=rules)


@given(
    st.sampled_from(["issuer", "dns", "email", "uri", "ip", "fingerprint"]),
    st.text(alphabet=st.sampled_from('*,.:/@=+\\#"<>; aAC1OU\0é\ud800') | st.characters()),
)
@settings(max_examples=examples(500), deadline=None)
def test_any_text(kind: str, value: str) -> None:
    """It is a rule or a ConfigError, and nothing else."""
    with suppress(ConfigError):
        assert parse_rule(f"{kind}:{value}").matches(NAMED.certificate) in (True, False)


@pytest.mark.parametrize(
    "text",
    ["CN=a\\, b\\+c\\\\,O=\\#x", "CN=\\ a,O=b\\ ", "CN=a\\0Ab", "E=u@x.org,UID=7,DC=x,DC=org",
     "CN=é\\C3\\A9,1.2.3.4=other", "CN=a=b+OU=c;d"],
)  # fmt: skip
def test_an_issuer_may_be_written_as_it_is_shown(text: str) -> None:
    root = self_signed("CN=r")
    key = ec.generate_private_key(ec.SECP256R1())
    types = {"E": NameOID.EMAIL_ADDRESS}
    name = x509.Name.from_rfc4514_string(text.replace(";", "\\;"), types)
    leaf = sign(root.certificate.subject, name, key.public_key(), key)
    assert parse_rule(f"issuer:{dn_text(name)}").matches(leaf)


# --- in a verdict


def policy(allow: list[str], deny: list[str]) -> Policy:
    return Policy.prepare([ROOT.certificate, CA.certificate], allow=allow, deny=deny)


@pytest.mark.parametrize(
    ("allow", "deny", "passes"),
    [
        ([], [], True), (["dns:host.example.org"], [], True), (["dns:x.org"], [], False),
        (["dns:x.org", "ip:192.0.2.7"], [], True), ([], ["dns:x.org"], True),
        ([], ["dns:host.example.org"], False), (["ip:192.0.2.7"], ["issuer:*,C=DE"], False),
        (["dns:x.org"], ["dns:y.org"], False),
    ],
)  # fmt: skip
def test_deny_wins(allow: list[str], deny: list[str], passes: bool) -> None:
    verdict = ask(NAMED, policy=policy(allow, deny))
    assert verdict.ok is passes
    if not passes:
        refused(verdict, Outcome.DENIED, "the client's certificate 'CN=named' is")
        assert [fault.kind for fault in verdict.steps[0].faults] == [Kind.RULE]


def test_reasons() -> None:
    verdict = ask(NAMED, policy=policy([], ["issuer:*,C=DE"]))
    refused(verdict, Outcome.DENIED, "is denied by the rule 'issuer:*,C=DE'")
    verdict = ask(NAMED, policy=policy(["dns:x.org"], []))
    refused(verdict, Outcome.DENIED, "it does not match the rule 'dns:x.org' of this site")
    verdict = ask(NAMED, policy=policy(["dns:x.org", "dns:y.org"], []))
    refused(verdict, Outcome.DENIED, "it does not match 2 rules of this site")


@pytest.mark.parametrize("kind", ["dns:", "DNS:*.", "uri:https://", "email:a@"])
def test_too_many_names(kind: str) -> None:
    """Each is compared with each rule: 12,000 with a thousand took seconds."""
    names = [x509.DNSName(f"{number}.example.org") for number in range(MAX_NAMES + 1)]
    made = ROOT.issue("CN=a", (x509.SubjectAlternativeName(names), False))
    less = ROOT.issue("CN=a", (x509.SubjectAlternativeName(names[1:]), False))
    for allow, deny in (([], [f"{kind}z.org"]), ([f"{kind}z.org"], [])):
        verdict = ask(made, policy=policy(allow, deny))
        refused(verdict, Outcome.DENIED, f"more than {MAX_NAMES} alternative names")
    assert ask(less, policy=policy([], [f"{kind}z.org"])).ok
    by_others = policy(["issuer:CN=Root,O=Example"], [f"fingerprint:{'ab' * 32}"])
    assert ask(made, policy=by_others).ok


def test_rules_make_nobody_trusted() -> None:
    alone = self_signed("alone", (SAN, False), ca=False)
    untrusted(ask(alone, policy=policy(["dns:host.example.org"], [])))


def test_issuer_is_the_one_above_the_client() -> None:
    chain: list[Made | bytes] = [LEAF, MIDDLE]
    assert ask(*chain, policy=policy(["issuer:CN=Middle,O=Example"], [])).ok
    refused(ask(*chain, policy=policy(["issuer:CN=Root,O=Example"], [])), Outcome.DENIED)


def mirrored(made: Made, order: int) -> bytes:
    """The certificate with the other of its two signatures."""
    certificate = made.certificate
    r, s = decode_dss_signature(certificate.signature)
    body = elements(made.der)[:2]
    return sequence(*body, sequence(b"\0" + encode_dss_signature(r, order - s), tag=0x03))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_other_fingerprint_of_a_certificate(curve: ec.EllipticCurve) -> None:
    """Whom a rule denies cannot get in with another signature that he made himself."""
    root = self_signed("root", key=ec.generate_private_key(curve))
    leaf = root.issue("x")
    order = curve.group_order
    twin = mirrored(leaf, order)
    digest = leaf.certificate.fingerprint(SHA256()).hex()
    trusting = Policy.prepare([root.certificate])
    verdict = ask(twin, policy=trusting)
    assert verdict.ok
    assert verdict.identity is not None
    assert verdict.identity.sha256 != digest
    denying = Policy.prepare([root.certificate], deny=[f"fingerprint:{digest}"])
    for der in (leaf.der, twin):
        refused(ask(der, policy=denying), Outcome.DENIED)
    assert ask(root.issue("x"), policy=denying).ok


def test_unused_bits_of_a_signature() -> None:
    """They would be one more way to change a fingerprint."""
    leaf = ROOT.issue("x")
    while leaf.der[-1] & 1:
        leaf = ROOT.issue("x")
    signature = leaf.certificate.signature
    der = leaf.der.removesuffix(b"\0" + signature) + b"\x01" + signature
    assert x509.load_der_x509_certificate(der).signature == signature  # what parsers say
    untrusted(ask(der), "malformed")
