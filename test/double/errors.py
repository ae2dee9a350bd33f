"""The two ways a simulated Dokploy call ends badly."""

STATUS_BY_CODE = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_SUPPORTED": 405,
    "CONFLICT": 409,
    "INTERNAL_SERVER_ERROR": 500,
}


class ApiError(Exception):
    """Answered to the client as {message, code, issues?}."""

    def __init__(self, code, message, issues=None):
        super().__init__(message)
        self.code, self.message, self.issues = code, message, issues

    @property
    def status(self):
        return STATUS_BY_CODE[self.code]

    def body(self):
        answer = {"message": self.message, "code": self.code}
        if self.issues is not None:
            answer["issues"] = [{"message": issue} for issue in self.issues]
        return answer


class DeployError(Exception):
    """A deploy that the provider gave up on; the text goes to the deployment's log."""


def not_found(kind):
    return ApiError("NOT_FOUND", f"{kind} not found")
