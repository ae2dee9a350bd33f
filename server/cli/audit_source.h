/* server/cli/audit_source.h - the audit log as the service tells it, and as a file of JSON lines keeps it. */
#pragma once

#include "server/cli/client.h"
#include "storage/audit_verify.h"

#include <stdio.h>

struct audit_service_source {
	struct audit_source source;
	struct client *client;
};
void audit_service_source(struct audit_service_source *s, struct client *c);

struct kept_note {
	uint64_t size;
	char *text;
};

/* The lines that audit_export() writes: keys first, each checkpoint behind the last entry it covers. */
struct audit_file_source {
	struct audit_source source;
	const char *path;
	FILE *file;
	char *line; /* the one looked at but not handed out yet; NULL: none */
	size_t room;
	bool has_line;
	unsigned long long line_number;
	struct kept_note *notes; /* read on the way, not asked for yet */
	size_t notes_n, notes_room;
};
bool audit_file_source(struct audit_file_source *s, const char *path, struct err *err);
void audit_file_done(struct audit_file_source *s);

/* Writes the whole log. */
SUSPENDS bool audit_export(struct task *t, struct audit_source *s, FILE *to, struct err *err);

/* A file as text, at most 1 MiB. */
bool audit_read_file(struct arena *a, const char *path, const char **out, struct err *err);
/* The note in a text: itself, or the member of the JSON document the service answers. */
const char *audit_note_in(struct arena *a, const char *text);
