#include "drivers/dokploy/credentials.h"

#include "storage/codes.h"
#include "storage/lane_environment.h"

bool dokploy_open(struct task *t, struct dokploy *out, struct err *err)
{
	static const struct place everywhere = { "", "" };
	struct opened_secrets secrets;
	arena_wipe_on_reset(t->arena); /* the token travels through request headers */
	if (!secrets_open(t, t->loop->keyring, "dokploy", &everywhere, &secrets, err))
		return false;
	*out = (struct dokploy){ 0 };
	for (size_t i = 0; i < secrets.n; i++) {
		if (strcmp(secrets.v[i].binding_key, "DOKPLOY_HOST") == 0)
			out->host = secrets.v[i].value.p;
		else if (strcmp(secrets.v[i].binding_key, "DOKPLOY_TOKEN") == 0)
			out->token = secrets.v[i].value.p;
	}
	if (out->host && out->token)
		return true;
	return err_set(
	        err, &E_secret_configuration_required,
	        "the managed secret %s is missing: write it with POST /v1/product-config/apply, integration dokploy, "
	        "global scope",
	        out->host ? "DOKPLOY_TOKEN" : "DOKPLOY_HOST");
}
