"""A browser as far as sign-in needs one: it keeps cookies, follows GitHub, and sends what a page of the service would."""
import re
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import requests

PUBLIC = "https://launchplane.example.com"
CALLBACK = f"{PUBLIC}/auth/github/callback"
CLIENT_ID, CLIENT_SECRET = "Iv1.client-of-the-tests", "client-secret-for-tests-0123456789"
SESSION_SECRET = "session-secret-for-tests-9876543210"
SESSION_COOKIE, SIGN_IN_COOKIE = "launchplane_session", "launchplane_sign_in"


def settings(doubles, **changes):
    """What makes a service let people sign in."""
    doubles.github.app(CLIENT_ID, CLIENT_SECRET, f"{changes.get('LAUNCHPLANE_PUBLIC_URL', PUBLIC)}/auth/github/callback")
    return {"LAUNCHPLANE_GITHUB_URL": doubles.github.url, "LAUNCHPLANE_GITHUB_API_URL": doubles.github.url,
            "LAUNCHPLANE_GITHUB_CLIENT_ID": CLIENT_ID, "LAUNCHPLANE_GITHUB_CLIENT_SECRET": CLIENT_SECRET,
            "LAUNCHPLANE_PUBLIC_URL": PUBLIC, "LAUNCHPLANE_SESSION_SECRET": SESSION_SECRET, **changes}


class Browser:
    def __init__(self, plane, origin=PUBLIC):
        self.plane, self.origin = plane, origin
        self.cookies = {}
        self.kept = []               # Set-Cookie lines, as they came

    @property
    def session_cookie(self):
        return self.cookies.get(SESSION_COOKIE)

    def request(self, method, path, headers=None, token=None, **options):
        headers = {**self.cookie_header(), **(headers or {})}
        answer = self.plane.api.request(method, path, token=token, headers=headers, **options)
        self._keep(answer)
        return answer

    def cookie_header(self):
        if not self.cookies:
            return {}
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def page_headers(self, **changes):
        """What goes with a change from one of the service's own pages; None leaves a header out."""
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors",
                   "Sec-Fetch-Dest": "empty", "X-CSRF-Token": self.csrf_token(), **changes}
        return {name: value for name, value in headers.items() if value is not None}

    def csrf_token(self):
        return self.get("/v1/auth/session").json().get("csrf_token", "none")

    def post(self, path, body=None, headers=None, key=None):
        return self.request("POST", path, headers=self.page_headers() if headers is None else headers, json=body, key=key)

    # signing in

    def begin(self, return_to=None):
        """The address at GitHub that the service sends to."""
        answer = self.get("/auth/github/login", params={"return_to": return_to} if return_to is not None else None)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def at_github(self, address):
        """The query that GitHub sends back with; asserts that it goes to the registered address."""
        answer = requests.get(address, allow_redirects=False, timeout=30)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["Location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == f"{self.origin}/auth/github/callback"
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def come_back(self, query):
        return self.get("/auth/github/callback", params=query)

    def try_sign_in(self, return_to=None):
        return self.come_back(self.at_github(self.begin(return_to)))

    def sign_in(self, return_to=None):
        answer = self.try_sign_in(return_to)
        assert answer.status_code == 302, f"{answer.status_code} {answer.text}"
        self.plane.secrets.append(self.session_cookie)
        self.plane.secrets.append(self.session_cookie.partition(".")[0])
        return answer

    # inside

    def _keep(self, answer):
        for line in answer.raw.headers.getlist("Set-Cookie"):
            self.kept.append(line)
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def attributes(line):
    """{"path": "/auth", "httponly": True, ...} of a Set-Cookie line."""
    parts = [part.strip() for part in line.split(";")[1:]]
    return {name.lower(): value if sign else True
            for name, sign, value in (re.match(r"([^=]+)(=?)(.*)", part).groups() for part in parts)}
