"""Scripted misbehaviour of a double: which calls it strikes, how often, and what happens then.

    double.on("POST", "compose.deploy").answer(500).times(2)
    double.on("POST", "compose.update").having("env").lie("env_not_persisted")
    rule = double.on("POST", "schedule.runManually").hold_after().times(1)
    rule.reached.wait(10)         # the effect happened, the answer has not left yet
    rule.release()

A rule strikes every matching call unless times() limits it; after(n) lets the first n pass.
"""
import fnmatch
import threading

LIES = {
    "compose.update": {"env_not_persisted", "member_stripped"},
    "compose.saveEnvironment": {"env_not_persisted"},
    "application.saveEnvironment": {"env_not_persisted"},
    "application.update": {"member_stripped"},
    "domain.create": {"duplicate_row"},
    "docker.getContainersByAppNameMatch": {"no_containers"},
    "schedule.runManually": {"script_fails", "script_recorded_done", "script_leaves_web_stopped", "run_cancelled"},
}
DEPLOY_LIES = {"old_snapshot", "lost_job", "foreign_deploy", "deploy_error", "deploy_cancelled"}
for _name in ("compose.deploy", "compose.redeploy", "application.deploy", "application.redeploy"):
    LIES[_name] = DEPLOY_LIES


def cut(http):
    """Breaks the caller's connection, unless the caller is gone already."""
    if http.transport is not None:
        http.transport.abort()


class Rule:
    def __init__(self, method, procedure):
        self.method, self.procedure = method.upper(), procedure
        self.status = None
        self.body = None
        self.delay_seconds = 0.0
        self.transport = None        # drop_before, drop_after, drop_late, hang, truncate
        self.hold = None             # before, after
        self.lies = {}
        self.reached = threading.Event()
        self.released = threading.Event()
        self.struck = 0
        self._skip = 0
        self._limit = None
        self._conditions = []
        self._lock = threading.Lock()

    # what happens

    def answer(self, status, body=None):
        """Answers this instead of doing anything; without a body Dokploy's common error shape."""
        self.status, self.body = status, body
        return self

    def unauthorized(self, code=False):
        """401 without code means a bad key, with code a service of another organisation."""
        body = {"message": "Unauthorized"}
        return self.answer(401, {**body, "code": "UNAUTHORIZED"} if code else body)

    def delay(self, seconds):
        self.delay_seconds = seconds
        return self

    def drop_before(self):
        self.transport = "drop_before"
        return self

    def drop_after(self):
        self.transport = "drop_after"
        return self

    def drop_late(self):
        """The connection goes at once, the effect comes when the rule is released."""
        self.transport = "drop_late"
        return self

    def hang(self):
        self.transport = "hang"
        return self

    def truncate(self):
        self.transport = "truncate"
        return self

    def lie(self, name, **details):
        known = LIES.get(self.procedure, set())
        if name not in known:
            raise ValueError(f"{self.procedure} has no lie {name!r}, only {sorted(known)}")
        self.lies[name] = details
        return self

    def hold_before(self):
        self.hold = "before"
        return self

    def hold_after(self):
        self.hold = "after"
        return self

    def release(self):
        self.released.set()

    # when

    def times(self, count):
        self._limit = count
        return self

    def after(self, count):
        self._skip = count
        return self

    def having(self, *members):
        """Only calls whose body (or query) has all these members."""
        return self.matching(lambda sent: all(name in sent for name in members))

    def matching(self, condition):
        self._conditions.append(condition)
        return self

    def strikes(self, method, procedure, members):
        """True when this call is one to strike; counts it."""
        if self.method not in ("*", method) or not fnmatch.fnmatchcase(procedure, self.procedure):
            return False
        if not all(condition(members) for condition in self._conditions):
            return False
        with self._lock:
            if self._skip > 0:
                self._skip -= 1
                return False
            if self._limit is not None and self.struck >= self._limit:
                return False
            self.struck += 1
        return True


class Faults:
    def __init__(self):
        self.rules = []

    def on(self, method, procedure):
        rule = Rule(method, procedure)
        self.rules.append(rule)
        return rule

    def pick(self, method, procedure, members):
        for rule in list(self.rules):
            if rule.strikes(method, procedure, members):
                return rule
        return None

    def clear(self):
        """Forgets all rules and lets go of every call that is held."""
        rules, self.rules = self.rules, []
        for rule in rules:
            rule.release()


def rule_from_json(faults, wanted):
    """The control endpoint's form of a rule: {method, procedure, answer?, delay?, ...}."""
    rule = faults.on(wanted["method"], wanted["procedure"])
    if "answer" in wanted:
        rule.answer(wanted["answer"]["status"], wanted["answer"].get("body"))
    if "delay" in wanted:
        rule.delay(wanted["delay"])
    if "transport" in wanted:
        {"drop_before": rule.drop_before, "drop_after": rule.drop_after,
         "hang": rule.hang, "truncate": rule.truncate}[wanted["transport"]]()
    for name in wanted.get("lies", []):
        rule.lie(name)
    if "times" in wanted:
        rule.times(wanted["times"])
    if "after" in wanted:
        rule.after(wanted["after"])
    if "having" in wanted:
        rule.having(*wanted["having"])
    return rule
