#include "core/digest.h"
#include "core/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The same 32 bytes in both alphabets. */
#define KEY_URL "yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5uc="
#define KEY_STD "yMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5uc="
#define PHRASE  "correct horse battery"

static struct arena *a;
static struct keyring ring;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	a = arena_new();
	memset(&err, 0, sizeof(err));
	return keyring_init(&ring, KEY_URL, NULL, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	keyring_done(&ring);
	arena_free(a);
	return 0;
}

static char *sealed(const char *plain)
{
	char *envelope = NULL;
	assert_true(seal(&ring, a, "secret-1", "secret-1-version-1", plain, strlen(plain), &envelope, &err));
	return envelope;
}

static const char *opened(const char *envelope)
{
	struct secret s;
	if (!seal_open(&ring, a, "secret-1", "secret-1-version-1", envelope, &s, &err))
		return NULL;
	assert_int_equal(strlen(s.p), s.n);
	return s.p;
}

static void what_is_sealed_opens_again(void **state)
{
	(void)state;
	char *one = sealed("s3cret"), *two = sealed("s3cret");
	assert_string_equal(opened(one), "s3cret");
	assert_string_not_equal(one, two);
	assert_null(strstr(one, "s3cret"));
	assert_int_equal(strncmp(one, "lpseal1.", 8), 0);
	assert_string_equal(seal_key_id(a, one), ring.current.id);
	assert_true(seal_is_current(&ring, one));
	char big[20000];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_string_equal(opened(sealed(big)), big);
}

static void an_envelope_belongs_to_its_row(void **state)
{
	(void)state;
	char *envelope = sealed("s3cret");
	struct secret s;
	assert_false(seal_open(&ring, a, "secret-2", "secret-1-version-1", envelope, &s, &err));
	assert_false(seal_open(&ring, a, "secret-1", "secret-1-version-2", envelope, &s, &err));
	assert_false(seal_open(&ring, a, "secret-1secret-1-version-1", "", envelope, &s, &err));
	assert_ptr_equal(err.code, &E_internal_error);
	assert_null(strstr(err.message, "s3cret"));
}

static void every_changed_character_is_noticed(void **state)
{
	(void)state;
	char *envelope = sealed("s3cret");
	for (size_t i = 0; envelope[i]; i++) {
		char *changed = arena_strdup(a, envelope);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_null(opened(changed));
	}
	for (size_t n = 0; n < strlen(envelope); n++)
		assert_null(opened(arena_strndup(a, envelope, n)));
	assert_null(opened(arena_printf(a, "%sA", envelope)));
	assert_null(opened(arena_printf(a, "%s.AAAA", envelope)));
}

static void another_master_key_does_not_open(void **state)
{
	(void)state;
	char *envelope = sealed("s3cret");
	keyring_done(&ring);
	assert_true(keyring_init(&ring, PHRASE, NULL, &err));
	assert_null(opened(envelope));
	assert_non_null(strstr(err.message, "a master key that is not configured"));
	assert_false(seal_is_current(&ring, envelope));
	/* Pretending it was sealed by ours does not help. */
	memcpy(envelope + 8, ring.current.id, KEY_ID_N);
	assert_null(opened(envelope));
}

static void a_previous_key_still_opens(void **state)
{
	(void)state;
	char *envelope = sealed("s3cret");
	keyring_done(&ring);
	assert_true(keyring_init(&ring, PHRASE, "another, " KEY_STD "\n", &err));
	assert_int_equal(ring.previous_n, 2);
	assert_string_equal(opened(envelope), "s3cret");
	assert_false(seal_is_current(&ring, envelope));
	assert_true(seal_is_current(&ring, sealed("x")));
}

static void a_key_is_known_by_its_bytes(void **state)
{
	(void)state;
	struct keyring other;
	assert_true(keyring_init(&other, "  " KEY_STD "\n", NULL, &err));
	assert_string_equal(other.current.id, ring.current.id);
	assert_int_equal(strlen(other.current.id), KEY_ID_N);
	assert_memory_equal(other.current.key, ring.current.key, 32);
	assert_true(keyring_init(&other, PHRASE, NULL, &err));
	unsigned char digest[SHA256_N];
	sha256(PHRASE, strlen(PHRASE), digest);
	assert_memory_equal(other.current.key, digest, 32);
	assert_string_not_equal(other.current.id, ring.current.id);
}

static void a_missing_master_key_says_what_to_do(void **state)
{
	(void)state;
	static const char *const blank[] = { NULL, "", "  \t\n" };
	for (size_t i = 0; i < countof(blank); i++) {
		struct keyring r;
		assert_false(keyring_init(&r, blank[i], KEY_STD, &err));
		assert_ptr_equal(err.code, &E_secret_configuration_required);
		assert_non_null(strstr(err.message, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY"));
		assert_non_null(strstr(err.message, "openssl rand -base64 32"));
	}
	struct keyring r;
	assert_false(keyring_init(&r, PHRASE, "1 2 3 4 5 6 7 8 9", &err));
}

static void an_empty_or_huge_secret_is_not_kept(void **state)
{
	(void)state;
	char *envelope;
	assert_false(seal(&ring, a, "s", "v", "", 0, &envelope, &err));
	char *huge = arena_alloc(a, SEAL_PLAINTEXT_MAX + 1);
	assert_false(seal(&ring, a, "s", "v", huge, SEAL_PLAINTEXT_MAX + 1, &envelope, &err));
	assert_true(seal(&ring, a, "s", "v", huge, SEAL_PLAINTEXT_MAX, &envelope, &err));
}

static void a_fernet_token_opens(void **state)
{
	(void)state;
	static const char spec[] =
	        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
	assert_string_equal(
	        opened("gAAAAABrAWrtu-53Y8zG6o1ik_uTRK8811z1xwAo4WsP64OOw1opPC3PN4OxiLrQTLB1SIBe4hL5tm6DD0ESj"
	               "ZnvhFEE_NcKdA=="),
	        "p\xc3\xa4"
	        "55 w\xc3\xb6rd");
	keyring_done(&ring);
	assert_true(keyring_init(&ring, PHRASE, "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", &err));
	assert_string_equal(
	        opened("gAAAAABrAWrtwi-oZJU5X0_LHNrdB6Z1dnb6yapcdzhR8AmZ2vHfX2viC_GZYfwrMpZsCdWI_Lhrr0aEi-GHu"
	               "0o34h5lou-1I6nCN4Y0X9VajTQUXuhZmeA="),
	        "0123456789abcdef");
	assert_string_equal(opened(spec), "hello"); /* the specification's own example, with the previous key */
	assert_string_equal(seal_key_id(a, spec), "");
	assert_false(seal_is_current(&ring, spec));
}

static void a_bad_fernet_token_is_an_error(void **state)
{
	(void)state;
	static const char good[] =
	        "gAAAAABrAWrtu-53Y8zG6o1ik_uTRK8811z1xwAo4WsP64OOw1opPC3PN4OxiLrQTLB1SIBe4hL5tm6DD0ESj"
	        "ZnvhFEE_NcKdA==";
	for (size_t i = 0; good[i]; i++) {
		char *changed = arena_strdup(a, good);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_null(opened(changed));
	}
	for (size_t n = 0; n < strlen(good); n++)
		assert_null(opened(arena_strndup(a, good, n)));
	/* An empty secret: a correct token that must not turn into an empty value. */
	assert_null(
	        opened("gAAAAABrAWrt2ZLtDUtzFjQaQzJ-fvTFO6AcYeK6LmK0qauie_1OM11mpUZbpG16DidqYCNZlea2zEqtOMFWCrRLDdQZku7"
	               "7MA=="));
	keyring_done(&ring);
	assert_true(keyring_init(&ring, PHRASE, NULL, &err));
	assert_null(opened(good));
}

static const char *watched;
static char seen[7];

static void look(void *arg)
{
	(void)arg;
	memcpy(seen, watched, 6);
}

static void secrets_are_wiped_with_their_arena(void **state)
{
	(void)state;
	struct arena *mine = arena_new();
	arena_defer(mine, look, NULL); /* runs after what is deferred later */
	struct secret s = secret_copy(mine, "s3cret", 6);
	watched = s.p;
	look(NULL);
	assert_string_equal(seen, "s3cret");
	arena_reset(mine);
	assert_memory_equal(seen, "\0\0\0\0\0\0", 6);
	arena_free(mine);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_is_sealed_opens_again),
		T(an_envelope_belongs_to_its_row),
		T(every_changed_character_is_noticed),
		T(another_master_key_does_not_open),
		T(a_previous_key_still_opens),
		T(a_key_is_known_by_its_bytes),
		T(a_missing_master_key_says_what_to_do),
		T(an_empty_or_huge_secret_is_not_kept),
		T(a_fernet_token_opens),
		T(a_bad_fernet_token_is_an_error),
		T(secrets_are_wiped_with_their_arena),
	};
	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
