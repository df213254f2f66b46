"""Which hosts, addresses and ports may be asked: the public Internet, and what is named here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from config.errors import ConfigError
from fastpath.fetch.errors import FetchFailure, shown
from fastpath.fetch.special import never, special
from fastpath.fetch.url import Address, Target, host_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Public CAs use 80. 8080 is what servers without root rights use; other ports belong to services
# that a stranger must not reach through us.
PORTS = frozenset({80, 8080})


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What somebody who runs kssl allows beyond the public Internet.

    A host may have any address, as whoever names it also trusts its DNS. A network goes for all
    names that lead into it. Ports go for every host.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    setting: str = "the list of allowed hosts"  # where to allow more, for messages

    @classmethod
    def of(
        cls, entries: Iterable[str], ports: Iterable[int] = PORTS, setting: str | None = None
    ) -> Allowed:
        """From host names, addresses and networks: "pki.example", "10.1.0.0/16", "fd00::7".

        Raises ConfigError: an entry is none of these, or a port is not from 1 to 65535.
        """
        where = cls().setting if setting is None else setting
        hosts: set[str] = set()
        networks: list[Network] = []
        for entry in entries:
            found = _entry(entry, where)
            if isinstance(found, str):
                hosts.add(found)
            else:
                networks.append(found)
        known = frozenset(ports)
        if not known or not all(0 < port < 65536 for port in known):
            raise ConfigError(f"{where}: ports are numbers from 1 to 65535, at least one")
        return cls(hosts=frozenset(hosts), networks=tuple(networks), ports=known, setting=where)

    def check_target(self, target: Target) -> None:
        """What can be said before the name is looked up. Raises FetchFailure."""
        if target.port not in self.ports:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise FetchFailure(f"names port {target.port}; only these are asked: {ports}")
        if target.address is None and "." not in target.host and target.host not in self.hosts:
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
        return target.host in self.hosts or any(address in network for network in self.networks)


def _entry(text: str, where: str) -> str | Network:
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
    try:
        name, _ = host_of(text)
    except FetchFailure:
        name = ""
    if not name or text.startswith("["):
        raise ConfigError(f"{where}: {shown(text)!r} is no host name, address or network")
    return name
