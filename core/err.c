#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>

#undef err_set
#undef err_field
#undef err_cause

struct role task_role, tx_role;

#define X(name_, status_, retry_, help_)                                                                               \
	const struct error_code E_##name_ = { .name = #name_, .status = (status_), .retry = (retry_), .help = (help_) };
CORE_ERROR_CODES(X)
#undef X

#define X(name, status, retry, help) &E_##name,
const struct error_code *const core_error_codes[] = { CORE_ERROR_CODES(X) };
#undef X
const size_t core_error_codes_n = countof(core_error_codes);

bool err_set(struct err *err, const struct error_code *code, const char *fmt, ...)
{
	err->code = code;
	err->field[0] = '\0';
	err->cause[0] = '\0';
	err->sqlstate[0] = '\0';
	err->provider_status = 0;
	va_list args;
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return false;
}

bool err_field(struct err *err, const char *path, const char *fmt, ...)
{
	err->code = &E_invalid_request;
	err->cause[0] = '\0';
	err->sqlstate[0] = '\0';
	err->provider_status = 0;
	snprintf(err->field, sizeof(err->field), "%s", path);
	int n = path[0] ? snprintf(err->message, sizeof(err->message), "%s: ", err->field) : 0;
	va_list args;
	va_start(args, fmt);
	vsnprintf(err->message + n, sizeof(err->message) - (size_t)n, fmt, args);
	va_end(args);
	return false;
}

bool err_cause(struct err *err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(err->cause, sizeof(err->cause), fmt, args);
	va_end(args);
	return false;
}
