"""The issuer's good and bad tokens, judged by an independent library."""
import jwt
import pytest
import requests


@pytest.fixture
def issuer(doubles):
    return doubles.issuer


def verify(issuer, token):
    keys = requests.get(f"{issuer.url}/.well-known/jwks", timeout=30).json()["keys"]
    kid = jwt.get_unverified_header(token).get("kid")
    key = next((key for key in keys if key["kid"] == kid), None)
    if key is None:
        raise jwt.InvalidKeyError("unknown kid")
    return jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=issuer.audience, issuer=issuer.url)


def test_a_minted_token_is_valid_and_looks_like_githubs(issuer):
    claims = verify(issuer, issuer.mint(repository="example-org/other", environment="testing"))
    assert claims["repository_owner"] == "example-org"
    assert claims["workflow_ref"].startswith("example-org/other/.github/workflows/")
    assert claims["environment"] == "testing"


@pytest.mark.parametrize("mint, error", [
    ("mint_hs256_with_public_key", jwt.InvalidAlgorithmError), ("mint_unknown_kid", jwt.InvalidKeyError),
    ("mint_without_kid", jwt.InvalidKeyError), ("mint_unsigned", jwt.InvalidKeyError),
    ("mint_with_other_key", jwt.InvalidSignatureError), ("mint_expired", jwt.ExpiredSignatureError),
    ("mint_not_yet_valid", jwt.ImmatureSignatureError), ("mint_from_the_future", jwt.ImmatureSignatureError),
])
def test_bad_tokens_are_bad_in_exactly_one_way(issuer, mint, error):
    with pytest.raises(error):
        verify(issuer, getattr(issuer, mint)())


def test_a_tampered_token_has_a_wrong_signature(issuer):
    with pytest.raises(jwt.InvalidSignatureError):
        verify(issuer, issuer.mint_tampered(repository="evil/evil"))


def test_a_claim_of_none_is_left_out(issuer):
    assert "repository" not in jwt.decode(issuer.mint(repository=None), options={"verify_signature": False})


def test_keys_rotate_and_fetches_are_counted(issuer):
    old = issuer.mint()
    issuer.rotate()
    verify(issuer, issuer.mint())
    verify(issuer, old)
    issuer.rotate(keep_old=False)
    with pytest.raises(jwt.InvalidKeyError):
        verify(issuer, old)
    assert issuer.jwks_fetches == 3


def test_discovery_names_the_keys(issuer):
    document = requests.get(f"{issuer.url}/.well-known/openid-configuration", timeout=30).json()
    assert (document["issuer"], document["jwks_uri"]) == (issuer.url, f"{issuer.url}/.well-known/jwks")
    assert issuer.discovery_fetches == 1


def test_trouble(doubles, issuer):
    address = f"{issuer.url}/.well-known/jwks"
    issuer.fail(503)
    assert requests.get(address, timeout=30).status_code == 503
    issuer.garbage()
    with pytest.raises(ValueError):
        requests.get(address, timeout=30).json()
    issuer.down()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(address, timeout=30)
    issuer.slow(3600)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(address, timeout=0.2)
    doubles.clock.advance(3601)
    issuer.heal()
    assert requests.get(address, timeout=30).json()["keys"]
