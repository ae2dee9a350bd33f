#include "storage/codes.h"

#define X(name_, status_, retry_, help_)                                                                               \
	const struct error_code E_##name_ = { .name = #name_, .status = (status_), .retry = (retry_), .help = (help_) };
PRODUCT_ERROR_CODES(X)
#undef X

#define X(name, status, retry, help) &E_##name,
const struct error_code *const product_error_codes[] = { PRODUCT_ERROR_CODES(X) };
#undef X
const size_t product_error_codes_n = countof(product_error_codes);
