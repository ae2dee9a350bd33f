#include "server/auth/glob.h"

#include <string.h>

/* The next code point; a byte that starts none stands for itself. */
static uint32_t next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
	uint32_t c = more == 3 ? p[0] & 7 : more == 2 ? p[0] & 15 : more == 1 ? p[0] & 31 : p[0];
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*s += 1;
			return p[0];
		}
		c = c << 6 | (p[i] & 63);
	}
	*s += more + 1;
	return c;
}

/* s is behind a [. The ] that closes the set, or NULL: one right at the start (or behind !) belongs to the set. */
static const char *set_end(const char *s)
{
	if (*s == '!')
		s++;
	if (*s == ']')
		s++;
	return strchr(s, ']');
}

static bool in_set(const char *s, const char *end, uint32_t c)
{
	bool inverted = *s == '!', found = false;
	s += inverted;
	while (s < end) {
		uint32_t low = next_char(&s), high = low;
		if (*s == '-' && s + 1 < end) {
			s++;
			high = next_char(&s);
		}
		found = found || (low <= c && c <= high);
	}
	return found != inverted;
}

/* Matches one character of text against what pattern starts with, which is no *; both move on. */
static bool match_one(const char **pattern, const char **text)
{
	const char *p = *pattern, *t = *text;
	bool ok;
	if (!*t || !*p)
		return false;
	if (*p == '?') {
		next_char(&t);
		p++;
		ok = true;
	} else {
		const char *end = *p == '[' ? set_end(p + 1) : NULL;
		uint32_t c = next_char(&t);
		if (end) {
			ok = in_set(p + 1, end, c);
			p = end + 1;
		} else {
			ok = next_char(&p) == c;
		}
	}
	*pattern = p;
	*text = t;
	return ok;
}

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[';
}

bool glob_match(const char *pattern, const char *text)
{
	/* Most patterns start with a plain name, and most differ early. */
	while (*pattern == *text && *pattern && !is_special(*pattern)) {
		pattern++;
		text++;
	}
	if (*pattern != *text && !is_special(*pattern))
		return false;
	const char *star = NULL, *resume = NULL; /* the last *, and where its run may end next */
	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
			if (!*pattern)
				return true;
			continue;
		}
		if (!*pattern && !*text)
			return true;
		if (match_one(&pattern, &text))
			continue;
		if (!star || !*resume)
			return false;
		next_char(&resume);
		pattern = star;
		text = resume;
	}
}
