#include "storage/secret.h"

#include "core/digest.h"

#include <fnmatch.h>
#include <stdlib.h>

const char *const secret_class_names[] = { "prod_only", "testing", "preview", "non_prod", "shared_safe", NULL };
const char *const environment_class_names[] = { "prod", "testing", "preview", "dev", "unknown", NULL };

static const struct field allowed_target_fields[] = {
	F_STR(allowed_target, context, REQUIRED | TRIMMED | NON_BLANK),
	F_STRINGS(allowed_target, instance_patterns, TRIMMED | NON_BLANK, .min = 1),
	F_END,
};
static const struct contract allowed_target_contract =
        CONTRACT(allowed_target, allowed_target_fields, "A context and the instances of it, such as pr-*");

static const struct field rule_fields[] = {
	F_STR(key_safety_rule, binding_key, REQUIRED | TRIMMED | NON_BLANK),
	F_ENUM(key_safety_rule, secret_class, REQUIRED, .names = secret_class_names),
	F_STRINGS(key_safety_rule, allowed_contexts, TRIMMED | NON_BLANK, .help = "None: any"),
	F_STRINGS(key_safety_rule, allowed_instances, TRIMMED | NON_BLANK, .help = "None: any"),
	F_LIST(key_safety_rule, allowed_targets, 0, &allowed_target_contract),
	F_STR(key_safety_rule, description, TRIMMED),
	F_END,
};
static const struct contract rule_contract =
        CONTRACT(key_safety_rule, rule_fields, "Which runtimes the secret behind a key may reach");

static bool unique_rules(struct arena *a, const struct key_safety_rule *rules, size_t n, const char *path,
                         struct err *err)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(rules[i].binding_key, rules[k].binding_key) == 0)
				return contract_fail(a, err, path, arena_printf(a, "rules[%zu].binding_key", i),
				                     "is there twice");
	return true;
}

static bool check_policy(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct key_safety_policy *p = record;
	return unique_rules(a, p->rules.v, p->rules.n, path, err);
}

static const struct field policy_fields[] = {
	F_SCHEMA_VERSION(key_safety_policy),
	F_STR(key_safety_policy, record_id, REQUIRED | NON_BLANK),
	F_STR(key_safety_policy, status, 0, .fallback = "active"),
	F_STR(key_safety_policy, source, REQUIRED | NON_BLANK),
	F_STR(key_safety_policy, updated_at, REQUIRED | NON_BLANK),
	F_LIST(key_safety_policy, rules, REQUIRED, &rule_contract, .min = 1),
	F_END,
};
const struct contract key_safety_policy_contract =
        CONTRACT(key_safety_policy, policy_fields, "Which secrets may reach which runtimes", .check = check_policy);

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	struct key_safety_request *r = record;
	if (strcmp(r->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product", "must be launchplane");
	if (is_blank(r->source_label))
		r->source_label = "service:runtime-key-safety-policy";
	return unique_rules(a, r->rules.v, r->rules.n, path, err);
}

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(key_safety_request),
	F_STR(key_safety_request, product, REQUIRED | TRIMMED | NON_BLANK, .help = "launchplane"),
	F_STR(key_safety_request, source_label, TRIMMED, .fallback = "service:runtime-key-safety-policy"),
	F_LIST(key_safety_request, rules, REQUIRED, &rule_contract, .min = 1),
	F_END,
};
const struct contract key_safety_request_contract = CONTRACT(
        key_safety_request, request_fields, "Rules to merge into the active key-safety policy", .check = check_request);

enum environment_class environment_class_of(const char *instance)
{
	static const struct {
		const char *name;
		enum environment_class class;
	} names[] = {
		{ "prod", ENVIRONMENT_PROD },       { "production", ENVIRONMENT_PROD },
		{ "testing", ENVIRONMENT_TESTING }, { "test", ENVIRONMENT_TESTING },
		{ "staging", ENVIRONMENT_TESTING }, { "stage", ENVIRONMENT_TESTING },
		{ "preview", ENVIRONMENT_PREVIEW }, { "pr", ENVIRONMENT_PREVIEW },
		{ "dev", ENVIRONMENT_DEV },         { "local", ENVIRONMENT_DEV },
		{ "development", ENVIRONMENT_DEV },
	};
	for (size_t i = 0; i < countof(names); i++)
		if (strcmp(names[i].name, instance) == 0)
			return names[i].class;
	return strncmp(instance, "pr-", 3) == 0 ? ENVIRONMENT_PREVIEW : ENVIRONMENT_UNKNOWN;
}

static bool class_allowed(enum environment_class env, int secret_class)
{
	static const bool allowed[5][5] = {
		[ENVIRONMENT_PROD] = { [CLASS_PROD_ONLY] = true, [CLASS_SHARED_SAFE] = true },
		[ENVIRONMENT_TESTING] = { [CLASS_TESTING] = true, [CLASS_NON_PROD] = true, [CLASS_SHARED_SAFE] = true },
		[ENVIRONMENT_PREVIEW] = { [CLASS_PREVIEW] = true, [CLASS_NON_PROD] = true, [CLASS_SHARED_SAFE] = true },
		[ENVIRONMENT_DEV] = { [CLASS_NON_PROD] = true, [CLASS_SHARED_SAFE] = true },
	};
	return allowed[env][secret_class];
}

/* 3: this lane, 2: its context, 1: global, 0: elsewhere. */
static int route_rank(const struct secret_binding *b, const struct place *target)
{
	if (!b->context[0] && !b->instance[0])
		return 1;
	if (strcmp(b->context, target->context) != 0)
		return 0;
	if (!b->instance[0])
		return 2;
	return strcmp(b->instance, target->instance) == 0 ? 3 : 0;
}

static const struct key_safety_rule *rule_for(const struct key_safety_policy *p, const char *key)
{
	for (size_t i = 0; i < p->rules.n; i++)
		if (strcmp(p->rules.v[i].binding_key, key) == 0)
			return &p->rules.v[i];
	return NULL;
}

static void find(struct arena *a, struct key_safety_findings *out, const char *code, const char *key,
                 const struct secret_binding *b, const struct key_safety_rule *r, const char *detail)
{
	struct key_safety_finding *v = arena_array(a, out->n + 1, sizeof(*v));
	if (out->n)
		memcpy(v, out->v, out->n * sizeof(*v));
	v[out->n++] = (struct key_safety_finding){
		.code = code,
		.binding_key = key,
		.binding_id = b ? b->binding_id : "",
		.secret_id = b ? b->secret_id : "",
		.secret_class = r ? secret_class_names[r->secret_class] : "",
		.detail = detail,
	};
	out->v = v;
}

static bool target_allowed(const struct key_safety_rule *r, const struct place *target)
{
	for (size_t i = 0; i < r->allowed_targets.n; i++) {
		const struct allowed_target *t = &r->allowed_targets.v[i];
		if (strcmp(t->context, target->context) != 0)
			continue;
		for (size_t k = 0; k < t->instance_patterns.n; k++)
			if (fnmatch(t->instance_patterns.v[k], target->instance, FNM_NOESCAPE) == 0)
				return true;
	}
	return false;
}

/* A rule that has targets alone means those; its empty lists do not mean everything then. */
static bool lists_apply(const struct key_safety_rule *r)
{
	return r->allowed_contexts.n || r->allowed_instances.n || !r->allowed_targets.n;
}

static bool listed_context(const struct key_safety_rule *r, const struct place *target)
{
	return lists_apply(r) && (!r->allowed_contexts.n || strings_have(&r->allowed_contexts, target->context));
}

static bool context_allowed(const struct key_safety_rule *r, const struct place *target)
{
	for (size_t i = 0; i < r->allowed_targets.n; i++)
		if (strcmp(r->allowed_targets.v[i].context, target->context) == 0)
			return true;
	return listed_context(r, target);
}

static bool instance_allowed(const struct key_safety_rule *r, const struct place *target)
{
	return target_allowed(r, target) ||
	       (listed_context(r, target) &&
	        (!r->allowed_instances.n || strings_have(&r->allowed_instances, target->instance)));
}

static void judge_key(struct arena *a, const struct key_safety_policy *policy, const struct place *target,
                      const struct secret_binding *bindings, size_t n, const char *key, struct key_safety_findings *out)
{
	const struct secret_binding *best = NULL;
	int best_rank = 0, at_best = 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(bindings[i].binding_key, key) != 0)
			continue;
		int rank = route_rank(&bindings[i], target);
		if (rank > best_rank) {
			best_rank = rank;
			best = &bindings[i];
			at_best = 1;
		} else if (rank && rank == best_rank) {
			at_best++;
		}
	}
	const struct key_safety_rule *rule = rule_for(policy, key);
	if (!best)
		find(a, out, "binding_missing", key, NULL, rule, "no secret is bound to this key for the lane");
	else if (at_best > 1)
		find(a, out, "ambiguous_binding", key, NULL, rule,
		     "several secrets are bound to this key equally closely");
	else if (strcmp(best->status, "configured") != 0)
		find(a, out, "binding_disabled", key, best, rule, "the binding is not configured");
	else if (!rule)
		find(a, out, "unclassified_binding", key, best, NULL, "the active policy has no rule for this key");
	else if (!class_allowed(environment_class_of(target->instance), rule->secret_class))
		find(a, out, "secret_class_not_allowed", key, best, rule,
		     "the class of the secret is not allowed in this environment");
	else if (!context_allowed(rule, target))
		find(a, out, "context_not_allowed", key, best, rule, "the rule does not list this context");
	else if (!instance_allowed(rule, target))
		find(a, out, "instance_not_allowed", key, best, rule, "the rule does not list this instance");
}

void key_safety_evaluate(struct arena *a, const struct key_safety_policy *policy, const struct place *target,
                         const struct secret_binding *bindings, size_t bindings_n, const struct strings *keys,
                         struct key_safety_findings *out)
{
	*out = (struct key_safety_findings){ 0 };
	struct strings seen = { 0 };
	if (environment_class_of(target->instance) == ENVIRONMENT_UNKNOWN)
		find(a, out, "unknown_environment_class", "", NULL, NULL,
		     "the instance belongs to no known class of environment");
	for (size_t i = 0; i < keys->n; i++) {
		if (strings_have(&seen, keys->v[i]))
			continue;
		strings_add(a, &seen, keys->v[i]);
		judge_key(a, policy, target, bindings, bindings_n, keys->v[i], out);
	}
}

static void union_or_any(struct arena *a, struct strings *into, const struct strings *add)
{
	if (into->n == 0 || add->n == 0) { /* an empty side means unrestricted */
		*into = (struct strings){ 0 };
		return;
	}
	for (size_t i = 0; i < add->n; i++)
		if (!strings_have(into, add->v[i]))
			strings_add(a, into, add->v[i]);
	strings_sort(into);
}

static void union_targets(struct arena *a, struct key_safety_rule *into, const struct key_safety_rule *add)
{
	struct allowed_target *v = arena_array(a, into->allowed_targets.n + add->allowed_targets.n + 1, sizeof(*v));
	size_t n = into->allowed_targets.n;
	if (n)
		memcpy(v, into->allowed_targets.v, n * sizeof(*v));
	for (size_t i = 0; i < add->allowed_targets.n; i++) {
		const struct allowed_target *t = &add->allowed_targets.v[i];
		struct allowed_target *known = NULL;
		for (size_t k = 0; k < n && !known; k++)
			if (strcmp(v[k].context, t->context) == 0)
				known = &v[k];
		if (known)
			union_or_any(a, &known->instance_patterns, &t->instance_patterns);
		else
			v[n++] = *t;
	}
	into->allowed_targets.n = n;
	into->allowed_targets.v = v;
}

/* What either rule allows; one without any restriction makes the other's meaningless. */
static void merge_rule(struct arena *a, struct key_safety_rule *known, const struct key_safety_rule *r)
{
	bool known_lists = lists_apply(known), lists = lists_apply(r);
	if (known_lists && lists) {
		union_or_any(a, &known->allowed_contexts, &r->allowed_contexts);
		union_or_any(a, &known->allowed_instances, &r->allowed_instances);
	} else if (lists) {
		known->allowed_contexts = r->allowed_contexts;
		known->allowed_instances = r->allowed_instances;
	}
	union_targets(a, known, r);
	if ((known_lists || lists) && !known->allowed_contexts.n && !known->allowed_instances.n)
		known->allowed_targets.n = 0;
	if (r->description[0])
		known->description = r->description;
}

static int by_key(const void *x, const void *y)
{
	return strcmp(((const struct key_safety_rule *)x)->binding_key,
	              ((const struct key_safety_rule *)y)->binding_key);
}

void key_safety_merge(struct arena *a, const struct key_safety_policy *base, const struct key_safety_request *add,
                      struct key_safety_policy *out)
{
	size_t n = base ? base->rules.n : 0;
	struct key_safety_rule *rules = arena_array(a, n + add->rules.n + 1, sizeof(*rules));
	if (n)
		memcpy(rules, base->rules.v, n * sizeof(*rules));
	for (size_t i = 0; i < add->rules.n; i++) {
		const struct key_safety_rule *r = &add->rules.v[i];
		struct key_safety_rule *known = NULL;
		for (size_t k = 0; k < n && !known; k++)
			if (strcmp(rules[k].binding_key, r->binding_key) == 0)
				known = &rules[k];
		if (!known) {
			rules[n++] = *r;
		} else if (known->secret_class != r->secret_class) {
			*known = *r;
		} else {
			merge_rule(a, known, r);
		}
	}
	qsort(rules, n, sizeof(*rules), by_key);
	*out = (struct key_safety_policy){
		.schema_version = 1, .record_id = "", .status = "active", .source = add->source_label, .updated_at = ""
	};
	out->rules.n = n;
	out->rules.v = rules;
}

const char *key_safety_digest(struct arena *a, const struct key_safety_policy *p)
{
	struct json j = contract_json(a, &key_safety_policy_contract, p, true), digest = json_object();
	json_set(a, &digest, "schema_version", *json_get(&j, "schema_version"));
	json_set(a, &digest, "status", *json_get(&j, "status"));
	json_set(a, &digest, "rules", *json_get(&j, "rules"));
	struct buf b = buf_in(a);
	json_write_canonical(&b, &digest);
	return sha256_text(a, b.p, b.n);
}
