"""The endpoint of an object store: does anybody answer there, over TLS, with a certificate that we accept."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from ops_platform.clients.safe_errors import describe
from ops_platform.errors import Unavailable
from ops_platform.settings import S3Place


class NoAnswer(Unavailable):
    """Nobody answered, or not in time: another try may succeed."""


def handshake(place: S3Place, seconds: float) -> None:
    """Make a TLS handshake with the endpoint of ``place`` within ``seconds`` a step.

    Raises NoAnswer, or Unavailable when nothing can come of another try.
    """
    url = place.endpoint_url or ""
    parts = urlsplit(url if "//" in url else f"https://{url}")
    try:
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise Unavailable("the endpoint's port is no number: correct OPS_S3_ENDPOINT_URL") from None
    where = f"S3 at {host}:{port}"
    try:
        context = ssl.create_default_context(cafile=None if place.ca_file is None else str(place.ca_file))
    except OSError as error:
        raise Unavailable(
            f"the CA file {place.ca_file} cannot be used ({describe(error)}): correct OPS_CA_FILE"
        ) from None
    try:
        with (
            socket.create_connection((host, port), seconds) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"the certificate of {where} is not accepted ({error.verify_message}): "
            "correct OPS_CA_FILE or OPS_S3_ENDPOINT_URL"
        ) from None
    except ssl.SSLError:
        raise NoAnswer(f"{where} does not speak TLS: correct OPS_S3_ENDPOINT_URL") from None
    except OSError as error:
        raise NoAnswer(
            f"{where} cannot be reached ({describe(error)}): start it or correct OPS_S3_ENDPOINT_URL"
        ) from None
