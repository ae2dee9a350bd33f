"""RSA keys as an OIDC issuer publishes them."""
import base64
import functools
import itertools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_serial = itertools.count(1)


class SigningKey:
    def __init__(self, kid=None, bits=2048):
        self.kid = kid or f"key-{next(_serial)}"
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": _number(numbers.n), "e": _number(numbers.e),
        }


@functools.lru_cache(maxsize=None)
def first_key():
    """Making a key takes a tenth of a second: one per process is enough for most tests."""
    return SigningKey("rehearsal-key")


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value):
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
