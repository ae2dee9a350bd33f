#include "storage/audit_filing.h"

#include "core/json.h"

#include <string.h>

bool audit_filing_of(struct arena *a, const char *leaf, struct audit_filing *out)
{
	struct json j;
	struct err ignored = { 0 };
	*out = (struct audit_filing){ 0 };
	if (!json_parse(a, leaf, strlen(leaf), "leaf", &j, &ignored) || j.type != JSON_OBJECT)
		return false;
	const struct json *records = json_get(&j, "records");
	*out = (struct audit_filing){
		.at = json_str(&j, "at", NULL),
		.product = json_str(&j, "product", NULL),
		.action = json_str(&j, "action", NULL),
		.deployment_record_id = json_str(records, "deployment_record_id", NULL),
		.promotion_record_id = json_str(records, "promotion_record_id", NULL),
	};
	return true;
}

static bool alike(const char *x, const char *y)
{
	return x && y ? strcmp(x, y) == 0 : x == y;
}

bool audit_filed_alike(const struct audit_filing *x, const struct audit_filing *y)
{
	return alike(x->at, y->at) && alike(x->product, y->product) && alike(x->action, y->action) &&
	       alike(x->deployment_record_id, y->deployment_record_id) &&
	       alike(x->promotion_record_id, y->promotion_record_id);
}
