#include "drivers/odoo/template.h"

#include <assert.h>

/* The bytes of the place that starts at p with '@', both signs included; 0 when it is an ordinary '@'. */
static size_t place_length(const char *p)
{
	size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
	return n && p[n + 1] == '@' ? n + 2 : 0;
}

char *template_fill(struct arena *a, const char *text, const struct template_value *values, size_t n)
{
	struct buf b = buf_in(a);
	bool used[16] = { 0 };
	assert(n <= countof(used));
	while (*text) {
		size_t plain = strcspn(text, "@");
		buf_add(&b, text, plain);
		text += plain;
		if (!*text)
			break;
		size_t place = place_length(text);
		if (!place) {
			buf_char(&b, *text++);
			continue;
		}
		size_t i = 0;
		while (i < n &&
		       (strlen(values[i].name) != place - 2 || memcmp(values[i].name, text + 1, place - 2) != 0))
			i++;
		assert(i < n);
		used[i] = true;
		buf_str(&b, values[i].text);
		text += place;
	}
	for (size_t i = 0; i < n; i++)
		assert(used[i]);
	buf_str(&b, "");
	return b.p;
}
