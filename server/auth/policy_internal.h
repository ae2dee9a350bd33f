/* server/auth/policy_internal.h - how a policy lies in memory: for policy_read.c, which makes it, policy_index.c,
 * which finds in it, policy.c, which asks it, and policy_explain.c. */
#pragma once

#include "core/digest.h"
#include "server/auth/policy.h"

/* What a condition looks at. */
enum subject {
	OF_REPOSITORY,
	OF_REPOSITORY_ID,
	OF_REPOSITORY_OWNER_ID,
	OF_WORKFLOW_REF,
	OF_JOB_WORKFLOW_REF,
	OF_EVENT_NAME,
	OF_REF,
	OF_ENVIRONMENT,
	OF_RUNNER_ENVIRONMENT,
	OF_LOGIN,
	OF_ORGANIZATIONS,
	OF_TEAMS,
	OF_ROLE,
	OF_SUBJECT,
	OF_TOKEN_LABEL,
	OF_PRODUCT,
	OF_CONTEXT,
	OF_ACTION,
	SUBJECTS
};

enum field_kind {
	FIELD_NAME,  /* a string that must be there and is compared trimmed */
	FIELD_ID,    /* a number as string, or nothing */
	FIELD_LIST,  /* strings; absent is empty */
	FIELD_LATER, /* a list that older documents did not know: left out of the digest when empty */
	FIELD_ROLES, /* a list of role names */
};

enum match { EXACT, GLOB };

struct field {
	const char *name;
	enum field_kind kind;
	enum subject of;
	enum match match;
};

#define FIELDS_MAX 12
enum { HUMAN_ROLES = 3 }; /* the place of roles among a person's conditions, behind those that say who */

struct section {
	const char *name;
	const struct field *fields;
	size_t fields_n;
	bool is_later;
};
extern const struct section policy_sections[PRINCIPAL_KINDS];

/* A condition: empty is none. Parallel to the fields of the rule's section. */
struct list {
	const char **items;
	size_t n;
};

struct rule {
	struct list conditions[FIELDS_MAX];
};

/* What rules are looked up by. */
enum key_part { KEY_WHO, KEY_ACTION, KEY_PRODUCT, KEY_CONTEXT, KEY_PARTS };

/* The first bytes that a text must have: up to eight, compared as a number. */
struct prefix {
	uint64_t bytes, mask;
};

/* A rule under one key; a NULL in it is for rules that any text may fit. */
struct index_entry {
	const char *key[KEY_PARTS];
	struct prefix product, context;
	const struct rule *rule;
};

struct policy {
	struct arena *arena;
	struct json document;
	char sha256[SHA256_HEX];
	struct {
		struct rule *rules;
		size_t n;
		struct index_entry *index; /* sorted */
		size_t index_n;
	} of[PRINCIPAL_KINDS]; /* workflows' rules are sorted by repository */
};

/* A request as rules see it: one text for each subject, or, for organisations and teams, several. */
struct question {
	const char *text[SUBJECTS];
	const char *const *several[SUBJECTS];
};

void question_ask(struct question *q, const struct principal *who, const char *action, const char *product,
                  const char *context);
bool condition_holds(const struct field *f, const struct list *l, const struct question *q);
bool rule_matches(const struct section *s, const struct rule *r, const struct question *q);
/* Of a rule for workflows. */
static inline const char *rule_repository(const struct rule *r)
{
	return r->conditions[0].items[0];
}

/* Makes the index of a policy whose rules are read, in its arena. */
void policy_index(struct policy *p);
/* Whether any rule of the kind matches. */
bool policy_index_finds(const struct policy *p, enum principal_kind kind, const struct question *q);

/* Whether one text fits one item of a condition. */
bool item_matches(const struct field *f, const char *item, const char *text);
/* The caller's rules: for a workflow those of its repository's name, else all of the kind. */
void policy_own_rules(const struct policy *p, const struct principal *who, const struct rule **rules, size_t *n);
