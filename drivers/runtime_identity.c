#include "drivers/runtime_identity.h"

static const char *const echo_names[] = {
	"runtime_identity",
	"launchplane_runtime_identity",
	"launchplaneRuntimeIdentity",
	"LAUNCHPLANE_RUNTIME_IDENTITY_JSON",
};

char *runtime_identity_text(struct arena *a, const struct runtime_identity *id)
{
	struct json j = contract_json(a, &runtime_identity_contract, id, true);
	struct buf b = buf_in(a);
	json_write_canonical(&b, &j);
	return b.p;
}

/* Members this release does not know are left aside: a newer product may echo more. */
static bool read_identity(struct arena *a, const struct json *value, struct runtime_identity *out)
{
	struct err ignored = { 0 };
	struct json parsed;
	if (value->type == JSON_STRING) {
		if (!json_parse(a, value->string, value->n, "identity", &parsed, &ignored))
			return false;
		value = &parsed;
	}
	if (value->type != JSON_OBJECT)
		return false;
	struct json known = json_object();
	for (const struct field *f = runtime_identity_contract.fields; f->kind != FIELD_END; f++) {
		const struct json *member = json_get(value, f->name);
		if (member && member->type != JSON_NULL)
			json_set(a, &known, f->name, *member);
	}
	return contract_read(a, &runtime_identity_contract, &known, "", out, &ignored);
}

static bool is_nothing(const struct json *value)
{
	return value->type == JSON_NULL || (value->type == JSON_STRING && is_blank(value->string));
}

static const char *differing_fields(struct arena *a, const struct runtime_identity *want,
                                    const struct runtime_identity *got)
{
	const struct {
		const char *name, *want, *got;
	} compared[] = {
		{ "product", want->product, got->product },
		{ "context", want->context, got->context },
		{ "instance", want->instance, got->instance },
		{ "environment_kind", want->environment_kind, got->environment_kind },
		{ "deployment_record_id", want->deployment_record_id, got->deployment_record_id },
		{ "artifact_id", want->artifact_id, got->artifact_id },
		{ "source_git_ref", want->source_git_ref, got->source_git_ref },
	};
	struct buf b = buf_in(a);
	for (size_t i = 0; i < countof(compared); i++)
		if (!is_blank(compared[i].want) && strcmp(compared[i].want, compared[i].got) != 0)
			buf_printf(&b, "%s%s", b.n ? ", " : "", compared[i].name);
	return buf_cstr(&b);
}

void runtime_identity_judge(struct arena *a, const struct runtime_identity *expected, const char *body, size_t body_n,
                            struct identity_verdict *out)
{
	*out = (struct identity_verdict){ .status = IDENTITY_UNCHECKED, .detail = "" };
	if (!expected)
		return;
	struct json answer;
	struct err ignored = { 0 };
	if (!body || !json_parse(a, body, body_n, "answer", &answer, &ignored)) {
		out->status = IDENTITY_UNVERIFIABLE;
		out->detail = body ? "The health answer is not JSON" : "The health endpoint could not be reached";
		return;
	}
	const char *unusable = NULL;
	struct runtime_identity *got = ARENA_NEW(a, struct runtime_identity);
	for (size_t i = 0; i < countof(echo_names) && !out->observed; i++) {
		const struct json *value = json_get(&answer, echo_names[i]);
		if (!value || is_nothing(value))
			continue;
		if (read_identity(a, value, got))
			out->observed = got;
		else if (!unusable)
			unusable = echo_names[i];
	}
	if (!out->observed) {
		out->status = unusable ? IDENTITY_MALFORMED : IDENTITY_MISSING;
		out->detail =
		        unusable ? arena_printf(a, "The health answer's %s cannot be read as an identity", unusable)
		                 : "The health answer names no runtime identity";
		return;
	}
	const char *differing = differing_fields(a, expected, got);
	out->status = differing[0] ? IDENTITY_MISMATCH : IDENTITY_MATCH;
	if (differing[0])
		out->detail = arena_printf(a, "The running target differs from what was deployed in: %s", differing);
}

bool runtime_identity_blocks(int status, bool is_required)
{
	switch (status) {
	case IDENTITY_MISMATCH:
	case IDENTITY_MALFORMED:
		return true;
	case IDENTITY_MISSING:
	case IDENTITY_UNVERIFIABLE:
		return is_required;
	default:
		return false;
	}
}
