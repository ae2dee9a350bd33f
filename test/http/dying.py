"""Asking a service that dies on the way, and is started again as systemd would."""
from plane import TERMINAL
from rehearsal.waiting import wait_until


def _is_up(plane):
    if not plane.service.runs():
        plane.kill()
        plane.restart()


def finish(plane, operation_id):
    """plane.finish() for a service that breaks connections, or dies."""
    def over():
        _is_up(plane)
        try:
            operation = plane.operation(operation_id)
        except OSError:
            return None
        plane.skip_sleep(operation_id)
        return operation if operation["status"] in TERMINAL else None

    return wait_until(over, "the end", 90)


def insist(plane, submit):
    """submit() to a service that may die before it answers: the same key is sent again until an answer comes.

    A claim follows the commit at once, so a kill at the claim or in the first phase races with the answer.
    """
    def answered():
        _is_up(plane)
        try:
            return submit()
        except OSError:
            return None

    return wait_until(answered, "an answer to the submission", 30)
