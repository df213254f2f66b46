"""The three profiles: today's kssl, Windows Server 2008, and Windows Server 2003 SP1.

A profile is two things: the defaults of the parameters
(`kssl.config.parameter.Parameter.default_in`) and what is not available. `docs/windows.md` has the
story, and names the documents that say what Windows did.
"""

from __future__ import annotations

from dataclasses import dataclass

from kssl.config.parameter import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a profile restricts.

    always_kernel_mode: EnableKernelSSL=0 is obsolete: reported, and ignored.
    client_certificates_in_kernel_mode: False: a site that asks for one is refused there.
    hot_certificates: a changed certificate is served without a restart.
    bulk: records are opened, sealed and sent in batches; False: one record at a time.
    ssl_required: sites have the flag Ssl unless they say otherwise.
    too_large: status and substatus for a body above maxAllowedContentLength.
    """

    always_kernel_mode: bool = False
    client_certificates_in_kernel_mode: bool = True
    hot_certificates: bool = True
    bulk: bool = True
    ssl_required: bool = True
    too_large: tuple[int, int] = (413, 0)


RULES: dict[Profile, Rules] = {
    Profile.NATIVE: Rules(),
    Profile.WS2008: Rules(always_kernel_mode=True, ssl_required=False, too_large=(404, 13)),
    Profile.WS2003SP1: Rules(
        client_certificates_in_kernel_mode=False,
        hot_certificates=False,
        bulk=False,
        ssl_required=False,
    ),
}

NO_CLIENT_CERTIFICATES = (
    "client certificates are not supported when SSL is run in kernel mode "
    "in Windows Server 2003 with SP1 (profile ws2003sp1)"
)
REJECTED = "RejectClientCertificates=1 refuses client certificates"
NEEDS_RESTART = (
    "nothing is read anew: server certificate configuration changes require a restart of the HTTP "
    "service in Windows Server 2003 with SP1 (profile ws2003sp1); kssl restart"
)
OBSOLETE = (
    "EnableKernelSSL=0 is obsolete in Windows Server 2008 (profile ws2008), which is always in "
    "kernel mode; it is ignored"
)


def no_client_certificates(profile: Profile, *, kernel_mode: bool, reject: bool) -> str:
    """Why there are no client certificates; "": sites may ask for them. `reject`: the parameter
    RejectClientCertificates."""
    if kernel_mode and not RULES[profile].client_certificates_in_kernel_mode:
        return NO_CLIENT_CERTIFICATES
    return REJECTED if reject else ""
