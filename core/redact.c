#include "core/redact.h"

#include "core/buf.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define REDACTED "[redacted]"

/* Compared without case, '_' and '-': "api-key", "apiKey" and "API_KEY" are one. */
static const char *const secret_words[] = {
	"PASSWORD",    "PASS",       "TOKEN",      "SECRET",        "APIKEY",        "ACCESSKEY", "PRIVATEKEY",
	"DATABASEURL", "CREDENTIAL", "ARGSBASE64", "PAYLOADBASE64", "AUTHORIZATION", "COOKIE",
};

static const char *const database_schemes[] = { "postgres",    "postgresql", "mysql",  "mariadb", "mongodb",
	                                        "mongodb+srv", "redis",      "rediss", "amqp",    "amqps" };

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

static bool is_bare_end(char c)
{
	return !c || is_blank(c) || c == ',' || c == ';';
}

static bool speaks_of_a_secret(const char *name, size_t n)
{
	char plain[256];
	size_t m = 0;
	for (size_t i = 0; i < n && m < sizeof(plain) - 1; i++)
		if (name[i] != '_' && name[i] != '-')
			plain[m++] = (char)toupper((unsigned char)name[i]);
	plain[m] = '\0';
	for (size_t i = 0; i < countof(secret_words); i++)
		if (strstr(plain, secret_words[i]))
			return true;
	return n >= sizeof(plain); /* no name is that long */
}

static bool word_at(const char *s, const char *word)
{
	size_t n = strlen(word);
	return strncasecmp(s, word, n) == 0 && is_blank(s[n]);
}

static const char *skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

/* Writes a value as redacted and returns what follows it. A scheme in front of a credential stays. */
static const char *value(struct buf *out, const char *s)
{
	char quote = *s == '"' || *s == '\'' ? *s : '\0';
	if (quote) {
		buf_char(out, quote);
		s++;
	}
	if (word_at(s, "bearer") || word_at(s, "basic")) {
		size_t n = strcspn(s, " \t\r\n\f\v");
		buf_add(out, s, n);
		buf_char(out, ' ');
		s = skip_blanks(s + n);
	}
	const char *from = s;
	if (quote) {
		while (*s && *s != quote)
			s += *s == '\\' && s[1] ? 2 : 1;
	} else {
		while (!is_bare_end(*s))
			s++;
	}
	if (s > from)
		buf_str(out, REDACTED);
	if (quote && *s == quote)
		buf_char(out, *s++);
	return s;
}

/* s is behind a name. The place of its value, or NULL when no = or : follows. */
static const char *value_of_name(const char *s)
{
	if (*s == '\\' && (s[1] == '"' || s[1] == '\''))
		s++; /* JSON within JSON */
	if (*s == '"' || *s == '\'')
		s++;
	s = skip_blanks(s);
	if (*s != '=' && *s != ':')
		return NULL;
	s++;
	if (*s == '=' || *s == '>')
		s++;
	const char *v = s;
	while (*v == ' ' || *v == '\t')
		v++;
	if (*v == '\\' && (v[1] == '"' || v[1] == '\''))
		v++;
	return v;
}

static bool is_database(const char *scheme, size_t n)
{
	for (size_t i = 0; i < countof(database_schemes); i++)
		if (strlen(database_schemes[i]) == n && strncasecmp(scheme, database_schemes[i], n) == 0)
			return true;
	return false;
}

/* s is behind "://". The place behind the @ that ends user and password, or NULL. In a database URL people write
 * passwords with / and ? in them as they are. */
static const char *behind_userinfo(const char *s, bool database)
{
	size_t n = strcspn(s, database ? " \t\r\n\"'<>`" : " \t\r\n\"'<>`/?#");
	const char *at = memrchr(s, '@', n);
	return at ? at + 1 : NULL;
}

static const char *behind_private_key(const char *s)
{
	if (strncmp(s, "-----BEGIN ", 11) != 0)
		return NULL;
	const char *title = strstr(s + 11, "-----");
	const char *word = strstr(s, "PRIVATE KEY-----");
	if (!title || !word || word > title)
		return NULL;
	const char *end = strstr(title + 5, "-----END ");
	end = end ? strstr(end + 9, "-----") : NULL;
	return end ? end + 5 : s + strlen(s);
}

/* A word of name characters, and what belongs to it. Returns what follows. */
static const char *word(struct buf *out, const char *s)
{
	size_t n = 0;
	while (is_name_char(s[n]))
		n++;
	bool bearer = n == 6 && strncasecmp(s, "bearer", 6) == 0 && is_blank(s[6]);
	const char *url = strncmp(s + n, "://", 3) == 0 ? s + n + 3 : NULL;
	const char *host = url ? behind_userinfo(url, is_database(s, n)) : NULL;
	const char *secret = !url && speaks_of_a_secret(s, n) ? value_of_name(s + n) : NULL;
	if (bearer)
		return value(out, s);
	if (host) {
		buf_add(out, s, n + 3);
		buf_str(out, REDACTED "@");
		return host;
	}
	if (secret) {
		buf_add(out, s, (size_t)(secret - s));
		return value(out, secret);
	}
	buf_add(out, s, n);
	return s + n;
}

char *redact_n(struct arena *a, const char *text, size_t n)
{
	return redact(a, arena_strndup(a, text, n));
}

char *redact(struct arena *a, const char *text)
{
	struct buf out = buf_in(a);
	buf_str(&out, "");
	for (const char *s = text; *s;) {
		const char *key = *s == '-' ? behind_private_key(s) : NULL;
		if (key) {
			buf_str(&out, REDACTED);
			s = key;
		} else if (is_name_char(*s)) {
			s = word(&out, s);
		} else {
			buf_char(&out, *s++);
		}
	}
	return out.p;
}
