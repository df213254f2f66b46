"""Which hosts, addresses and ports may be asked: the public Internet, and what is named here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.fetch.errors import FetchFailure, shown
from kssl.fastpath.verifier.fetch.special import never, special
from kssl.fastpath.verifier.fetch.url import Address, Target, host_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Public CAs use 80. 8080 is what servers without root rights use; other ports belong to services
# that a stranger must not reach through us.
PORTS = frozenset({80, 8080})

_WITH_PORT = re.compile(r"(\[[^\[\]]*\]|[^:/\[\]]+):([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What somebody who runs kssl allows beyond the public Internet.

    A host may have any address, as whoever names it also trusts its DNS. A network goes for all
    names that lead into it. Ports go for every host. A host with a port beside it is allowed there
    and nowhere else; it is compared with what a URL names, before any lookup.
    """

    hosts: frozenset[str] = frozenset()
    places: frozenset[tuple[str, int]] = frozenset()  # host or address, and its port
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    setting: str = "the list of allowed hosts"  # where to allow more, for messages

    @classmethod
    def of(
        cls, entries: Iterable[str], ports: Iterable[int] = PORTS, setting: str | None = None
    ) -> Allowed:
        """From host names, addresses and networks: "pki.example", "10.1.0.0/16", "fd00::7"; and
        from hosts with a port: "pki.example:8081", "10.1.0.7:8081", "[fd00::7]:8081".

        Raises ConfigError: an entry is none of these, or a port is not from 1 to 65535.
        """
        where = cls().setting if setting is None else setting
        hosts: set[str] = set()
        places: set[tuple[str, int]] = set()
        networks: list[Network] = []
        for entry in entries:
            found = _entry(entry, where)
            if isinstance(found, tuple):
                places.add(found)
            elif isinstance(found, str):
                hosts.add(found)
            else:
                networks.append(found)
        known = frozenset(ports)
        if not known or not all(0 < port < 65536 for port in known):
            raise ConfigError(f"{where}: ports are numbers from 1 to 65535, at least one")
        return cls(
            hosts=frozenset(hosts),
            places=frozenset(places),
            networks=tuple(networks),
            ports=known,
            setting=where,
        )

    def check_target(self, target: Target) -> None:
        """What can be said before the name is looked up. Raises FetchFailure."""
        if target.port not in self.ports and (target.host, target.port) not in self.places:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise FetchFailure(
                f"names port {target.port}; only these are asked: {ports}; name "
                f"{shown(target.authority)} in {self.setting} to allow it"
            )
        if target.address is None and "." not in target.host and not self._by_name(target):
            raise FetchFailure(
                f"{shown(target.host)!r} is a name of this network only; name it in {self.setting} "
                "to allow it"
            )

    def check_address(self, target: Target, address: Address) -> None:
        """Whether ``address``, which ``target`` has, may be connected to. Raises FetchFailure."""
        what = special(address)
        if what is None or (self.named(target, address) and not never(address)):
            return
        subject = f"{address} is"
        if target.address is None:
            subject = f"{shown(target.host)} has the address {address}, which is"
        do = "" if never(address) else f"; name it in {self.setting} to allow it"
        raise FetchFailure(f"{subject} {what}{do}")

    def named(self, target: Target, address: Address) -> bool:
        """Whether somebody has allowed this host, or its network."""
        return self._by_name(target) or any(address in network for network in self.networks)

    def _by_name(self, target: Target) -> bool:
        return target.host in self.hosts or (target.host, target.port) in self.places


def _entry(text: str, where: str) -> str | tuple[str, int] | Network:
    if "%" in text:
        raise ConfigError(f"{where}: {shown(text)!r} has a zone (%); name the host instead")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
            raise ConfigError(f"{where}: {shown(text)!r} is an IPv4 address; write it as one")
        return network
    if "/" in text:
        raise ConfigError(
            f"{where}: {shown(text)!r} is no network; write it like 10.1.0.0/16, with zeros behind "
            "the prefix"
        )
    split = _WITH_PORT.fullmatch(text)
    host = text if split is None else split[1]
    try:
        name, _ = host_of(host)
    except FetchFailure:
        name = ""
    if not name or (text.startswith("[") and split is None):
        raise ConfigError(f"{where}: {shown(text)!r} is no host name, address or network")
    if split is None:
        return name
    if int(split[2]) > 65535:
        raise ConfigError(f"{where}: {shown(text)!r}: ports are numbers from 1 to 65535")
    return name, int(split[2])
