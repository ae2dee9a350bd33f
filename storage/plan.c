#include "storage/plan.h"

#include "core/digest.h"
#include "storage/codes.h"

const char *plan_digest(struct arena *a, const struct json *plan)
{
	struct buf b = buf_in(a);
	json_write_canonical(&b, plan);
	return sha256_text(a, b.p, b.n);
}

const char *plan_veil(struct arena *a, const struct keyring *keyring, const char *value)
{
	return keyring ? seal_fingerprint(keyring, a, value) : sha256_text(a, value, strlen(value));
}

void plan_set_veiled(struct arena *a, struct json *plan, const char *key, const struct keyring *keyring,
                     const struct text_map *values)
{
	struct json veiled = json_object();
	for (size_t i = 0; i < values->n; i++)
		json_set_str(a, &veiled, values->v[i].key, plan_veil(a, keyring, values->v[i].value));
	json_set(a, plan, key, veiled);
}

bool plan_check(const char *pinned, const char *digest, struct err *err)
{
	if (!pinned || !pinned[0] || strcmp(pinned, digest) == 0)
		return true;
	return err_set(err, &E_plan_changed,
	               "plan_digest: the reviewed plan is no longer what would happen; review the plan in this answer "
	               "and apply that one");
}
