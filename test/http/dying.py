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
