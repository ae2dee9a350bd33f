#include "storage/secret.h"

#include <ctype.h>
#include <stdlib.h>

static const struct field managed_secret_fields[] = {
	F_SCHEMA_VERSION(managed_secret),
	F_STR(managed_secret, secret_id, REQUIRED | NON_BLANK),
	F_STR(managed_secret, scope, REQUIRED | NON_BLANK, .help = "global, context or context_instance"),
	F_STR(managed_secret, integration, REQUIRED | NON_BLANK),
	F_STR(managed_secret, name, REQUIRED | NON_BLANK),
	F_STR(managed_secret, context, 0),
	F_STR(managed_secret, instance, 0),
	F_STR(managed_secret, description, 0),
	F_STR(managed_secret, policy, 0, .fallback = "write_only"),
	F_STR(managed_secret, status, 0, .fallback = "configured"),
	F_STR(managed_secret, current_version_id, 0),
	F_STR(managed_secret, created_at, REQUIRED),
	F_STR(managed_secret, updated_at, REQUIRED),
	F_STR(managed_secret, last_validated_at, 0),
	F_STR(managed_secret, updated_by, 0),
	F_END,
};
const struct contract managed_secret_contract =
        CONTRACT(managed_secret, managed_secret_fields, "A managed secret, without its value");

static const struct field secret_version_fields[] = {
	F_SCHEMA_VERSION(secret_version),
	F_STR(secret_version, version_id, REQUIRED | NON_BLANK),
	F_STR(secret_version, secret_id, REQUIRED | NON_BLANK),
	F_STR(secret_version, created_at, REQUIRED),
	F_STR(secret_version, created_by, 0),
	F_STR(secret_version, cipher_alg, 0, .fallback = "fernet-v1"),
	F_STR(secret_version, key_id, 0, .fallback = "launchplane-master-key"),
	F_STR(secret_version, ciphertext, REQUIRED | NON_BLANK, .max = 200000),
	F_END,
};
const struct contract secret_version_contract = CONTRACT(secret_version, secret_version_fields, "A sealed value");

static const struct field secret_binding_fields[] = {
	F_SCHEMA_VERSION(secret_binding),
	F_STR(secret_binding, binding_id, REQUIRED | NON_BLANK),
	F_STR(secret_binding, secret_id, REQUIRED),
	F_STR(secret_binding, integration, REQUIRED | NON_BLANK),
	F_STR(secret_binding, binding_type, 0, .fallback = "env"),
	F_STR(secret_binding, binding_key, REQUIRED | NON_BLANK),
	F_STR(secret_binding, context, 0),
	F_STR(secret_binding, instance, 0),
	F_STR(secret_binding, status, 0, .fallback = "configured"),
	F_STR(secret_binding, created_at, 0),
	F_STR(secret_binding, updated_at, 0),
	F_END,
};
const struct contract secret_binding_contract =
        CONTRACT(secret_binding, secret_binding_fields, "The environment key a secret appears under");

static const struct field secret_audit_event_fields[] = {
	F_SCHEMA_VERSION(secret_audit_event),
	F_STR(secret_audit_event, event_id, REQUIRED | NON_BLANK),
	F_STR(secret_audit_event, secret_id, REQUIRED | NON_BLANK),
	F_STR(secret_audit_event, event_type, REQUIRED | NON_BLANK),
	F_STR(secret_audit_event, recorded_at, REQUIRED),
	F_STR(secret_audit_event, actor, 0),
	F_STR(secret_audit_event, detail, 0),
	F_MAP(secret_audit_event, metadata, 0),
	F_END,
};
const struct contract secret_audit_event_contract =
        CONTRACT(secret_audit_event, secret_audit_event_fields, "What happened to a secret");

const char *slug(struct arena *a, const char *s)
{
	char *out = arena_alloc(a, strlen(s) + 1), *p = out;
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) && (unsigned char)*s < 0x80)
			*p++ = (char)tolower((unsigned char)*s);
		else if (p > out && p[-1] != '-')
			*p++ = '-';
	}
	while (p > out && p[-1] == '-')
		p--;
	*p = '\0';
	return out;
}

const char *secret_id_of(struct arena *a, const char *integration, const char *name, const struct place *r)
{
	struct buf b = buf_in(a);
	buf_printf(&b, "secret-%s-%s", slug(a, integration), slug(a, name));
	if (r->context[0])
		buf_printf(&b, "-%s", slug(a, r->context));
	if (r->instance[0])
		buf_printf(&b, "-%s", slug(a, r->instance));
	return b.p;
}

const char *secret_binding_id_of(struct arena *a, const char *secret_id, const char *binding_key)
{
	return arena_printf(a, "%s-binding-%s", secret_id, slug(a, binding_key));
}
