"""What the front end has asked, and how each question is answered: at once, by what was remembered,
or after a search, which all who ask the same share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from kssl.config.errors import ConfigError
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.verifier.fetch import Kind
from kssl.fastpath.verifier.kept import Kept
from kssl.fastpath.verifier.lists import Lists, Reader
from kssl.fastpath.verifier.messages import pack_verdict, unpack_judge
from kssl.fastpath.verifier.network import Network
from kssl.fastpath.verifier.policies import Loaded, Site
from kssl.fastpath.verifier.remembering import Key, Remembered, key_of, until
from kssl.fastpath.verifier.retrieval import lists_missing
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.verdict import Outcome, Verdict
from kssl.fastpath.verifier.searching import Answer, Search, Searcher, Searches
from kssl.fastpath.verifier.verdicts import BROKEN, CHANGED, UNCHECKED, told, with_note

log = logging.getLogger("kssl.verifier")

_FULL = "nothing was fetched, as too many searches wait already"


class Questions:
    """Not thread-safe: the loop's."""

    def __init__(
        self,
        answer: Callable[[int, bytes], None],
        wake: Callable[[], None],
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """``answer`` gets a connection and its packed verdict. ``wake``: see `Searches`; then
        `collect` is to be called."""
        self._answer = answer
        self._clock = clock
        self._now = now
        self._loaded: Loaded | None = None
        self._kept: Kept | None = None
        self._network: Network | None = None
        self._lists = Lists()
        self._remembered = Remembered(clock)
        searcher = Searcher(Reader(clock), clock, now)
        # Strangers have issuers searched for, and may keep all these threads waiting. Lists are
        # searched for below a trusted certificate only.
        self._searches = {kind: Searches(searcher, wake) for kind in Kind}
        self._searching: dict[Key, Search] = {}
        self._asked: dict[int, Search] = {}  # by connection

    @property
    def count(self) -> int:
        """Those in progress."""
        return len(self._asked)

    def configure(self, loaded: Loaded, kept: Kept) -> None:
        """Other settings. Who waits is judged again, as what counted may count no more."""
        waiting = list(self._asked.items())
        self._asked.clear()
        self._searching.clear()
        for searches in self._searches.values():
            searches.drop_all()
        self._remembered.clear()
        self._lists.retain(loaded.sites)
        self._loaded, self._kept = loaded, kept
        for name in loaded.sites:
            self._learn_lists(name)
        if self._network is None or self._network.allowed != loaded.allowed:
            if self._network is not None:
                self._network.close(0.0)
            self._network = Network(loaded.allowed, self._clock)
        for identifier, search in waiting:
            self._ask(identifier, search.key[0], search.presented, search.began)

    def ask(self, identifier: int, payload: memoryview) -> None:
        """``payload``: see `pack_judge`."""
        name, presented = unpack_judge(payload)
        self._ask(identifier, name, presented, self._clock())

    def end(self, identifier: int) -> None:
        """Nobody wants the answer; also if there was one already."""
        search = self._asked.pop(identifier, None)
        if search is None:
            return
        search.waiting.remove(identifier)
        if not search.waiting and self._searches[search.kind].drop(search):
            del self._searching[search.key]

    def collect(self) -> None:
        """Answers those whose searches are over."""
        for answer in [each for them in self._searches.values() for each in them.answers()]:
            search = answer.search
            if self._searching.get(search.key) is not search:
                continue  # of other settings
            del self._searching[search.key]
            self._learn(answer)
            seconds = min(answer.seconds, (answer.end - self._now()).total_seconds())
            self._remembered.keep(search.key, answer.packed, seconds)
            for identifier in search.waiting:
                del self._asked[identifier]
                self._answer(identifier, answer.packed)

    def close(self, seconds: float) -> bool:
        """False: a thread has not ended, though each of four pools had ``seconds``."""
        for searches in self._searches.values():
            searches.close(0.0)
        ended = [self._network is None or self._network.close(seconds)]
        ended += [searches.close(seconds) for searches in self._searches.values()]
        return all(ended)

    def _ask(self, identifier: int, name: str, presented: tuple[bytes, ...], began: float) -> None:
        try:
            packed = self._judged(identifier, name, presented, began)
        except BaseException as error:  # a panic in cryptography's Rust is no Exception
            what = "a client's certificate could not be checked"
            log.error("%s (%s)", what, type(error).__name__, extra=limited("Cert_Unchecked"))
            packed = pack_verdict(UNCHECKED)
        if packed is not None:
            self._answer(identifier, packed)

    def _judged(
        self, identifier: int, name: str, presented: tuple[bytes, ...], began: float
    ) -> bytes | None:
        """None: a search is on its way."""
        assert self._loaded is not None
        site = self._loaded.sites.get(name)
        if site is None:
            problem = self._loaded.broken.get(name)
            return pack_verdict(with_note(BROKEN, problem) if problem else CHANGED)
        key = key_of(name, presented)
        known = self._remembered.get(key)
        if known is not None:
            return known
        search = self._searching.get(key)
        if search is not None:
            search.waiting.append(identifier)
            self._asked[identifier] = search
            return None
        now = self._now()
        verdict = judge(presented, site.policy, now)
        kind = self._missing(self._loaded, site, verdict, now)
        if kind is None:
            packed = pack_verdict(told(verdict))
            end = until(verdict, site.policy, now)
            self._remembered.keep(key, packed, (end - self._now()).total_seconds())
            return packed
        assert self._network is not None
        assert self._kept is not None
        search = Search(
            key=key, kind=kind, site=site, loaded=self._loaded, network=self._network,
            kept=self._kept, presented=presented, began=began, waiting=[identifier],
        )  # fmt: skip
        if not self._searches[kind].add(search):
            return pack_verdict(with_note(told(verdict), _FULL))
        self._searching[key] = self._asked[identifier] = search
        return None

    @staticmethod
    def _missing(loaded: Loaded, site: Site, verdict: Verdict, now: datetime) -> Kind | None:
        """What a search may find first; None: the verdict stands."""
        if verdict.outcome is Outcome.UNTRUSTED:
            read = verdict.identity is not None
            return (
                Kind.CERTIFICATE if loaded.retrieve_issuers and read and not verdict.chain else None
            )
        if site.wanted.cached_revocation_only:
            return None
        return Kind.CRL if lists_missing(verdict, site.policy, now) else None

    def _learn(self, answer: Answer) -> None:
        """For the next client: then nothing has to be fetched, or read once more."""
        name = answer.search.key[0]
        try:
            answer.search.site.learn_issuers(answer.issuers)
        except Exception as error:
            what = "an intermediate CA is not kept in mind"
            log.warning("%s (%s)", what, type(error).__name__, extra=limited("fetched certificate"))
        for changed in self._lists.keep(name, answer.lists):
            self._learn_lists(changed)

    def _learn_lists(self, name: str) -> None:
        assert self._loaded is not None
        try:
            self._loaded.sites[name].learn_lists(self._lists.of(name))
        except ConfigError as error:
            log.warning("a fetched CRL is not kept: %s", error, extra=limited("fetched CRL"))
