#include "storage/cursor.h"

#include "core/digest.h"

#define CURSOR_MAX 4096

char *cursor_encode(struct arena *a, const char *list, const char *keys, const char *const *values)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '[');
	jo_str(&o, list);
	for (size_t i = 0; keys[i]; i++)
		jo_str(&o, values[i]);
	jo_close(&o, ']');
	return base64url_encode(a, b.p, b.n);
}

static bool is_number(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n <= 18 && strspn(s, "0123456789") == n;
}

static bool fits(const struct json *j, const char *list, const char *keys)
{
	if (j->type != JSON_ARRAY || j->n != strlen(keys) + 1)
		return false;
	for (size_t i = 0; i < j->n; i++)
		if (j->items[i].type != JSON_STRING || (i && keys[i - 1] == 'i' && !is_number(j->items[i].string)))
			return false;
	return strcmp(j->items[0].string, list) == 0;
}

bool cursor_decode(struct arena *a, const char *text, const char *list, const char *keys, const char **values,
                   struct err *err)
{
	unsigned char *bytes;
	size_t n = strlen(text);
	struct json j;
	struct err ignored = { 0 };
	if (n > CURSOR_MAX || !base64url_decode(a, text, n, &bytes, &n) ||
	    !json_parse(a, (const char *)bytes, n, "cursor", &j, &ignored) || !fits(&j, list, keys))
		return err_set(err, &E_invalid_query,
		               "cursor is not one that this list answered; leave it out to start from the first page");
	for (size_t i = 0; keys[i]; i++)
		values[i] = j.items[i + 1].string;
	return true;
}
