/* Checkpoints: signed, read, and refused when a byte differs. */
#include "core/signed_note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char seed[NOTE_SEED_N] = "a seed of thirty-two bytes here.";

static struct note_key signer(void)
{
	struct note_key k;
	note_key_of_seed("launchplane-audit/test", seed, &k);
	return k;
}

static const char *signed_by(struct arena *a, const struct note_key *k)
{
	struct checkpoint c = { .origin = k->name, .size = 1234, .previous = 1200, .time = "2026-06-01T10:00:00Z" };
	memset(c.root.b, 0x5a, MERKLE_N);
	return checkpoint_sign(a, k, &c);
}

static void a_checkpoint_reads_back(void **state)
{
	struct arena *a = *state;
	struct err err = { 0 };
	struct note_key k = signer();
	const char *note = signed_by(a, &k);
	struct checkpoint c;
	assert_true(checkpoint_parse(a, note, &c, &err));
	assert_string_equal(c.origin, "launchplane-audit/test");
	assert_int_equal(c.size, 1234);
	assert_int_equal(c.previous, 1200);
	assert_int_equal(c.root.b[31], 0x5a);
	assert_string_equal(c.time, "2026-06-01T10:00:00Z");
	assert_string_equal(c.key_id, k.id);
	assert_true(note_is_signed(a, note, &k));
}

static void the_public_key_reads_back_and_verifies(void **state)
{
	struct arena *a = *state;
	struct err err = { 0 };
	struct note_key k = signer(), public_key;
	const char *text = note_key_text(a, &k);
	assert_true(note_key_parse(arena_printf(a, "%s\n", text), &public_key, &err));
	assert_false(public_key.can_sign);
	assert_string_equal(public_key.id, k.id);
	assert_true(note_is_signed(a, signed_by(a, &k), &public_key));
}

static void a_key_that_is_none_is_refused(void **state)
{
	struct arena *a = *state;
	struct note_key k = signer(), out;
	const char *text = note_key_text(a, &k);
	for (size_t i = 0; i < strlen(text); i++) {
		struct err err = { 0 };
		char *other = arena_strdup(a, text);
		other[i] = other[i] == 'A' ? 'B' : 'A';
		assert_false(note_key_parse(other, &out, &err));
		assert_false(note_key_parse(arena_strndup(a, text, i), &out, &err));
	}
}

static void any_changed_byte_breaks_it(void **state)
{
	struct arena *a = *state;
	struct note_key k = signer();
	const char *note = signed_by(a, &k);
	for (size_t i = 0; i < strlen(note) - 1; i++) {
		char *other = arena_strdup(a, note);
		other[i] ^= 1;
		assert_false(note_is_signed(a, other, &k));
	}
}

static void another_key_has_not_signed(void **state)
{
	struct arena *a = *state;
	unsigned char other_seed[NOTE_SEED_N] = { 1 };
	struct note_key k = signer(), other;
	note_key_of_seed("launchplane-audit/test", other_seed, &other);
	assert_false(note_is_signed(a, signed_by(a, &k), &other));
}

static void what_is_no_checkpoint_is_refused(void **state)
{
	struct arena *a = *state;
	struct note_key k = signer();
	const char *note = signed_by(a, &k);
	static const char *const bad[] = { "", "\n", "a\n1\n", "name\n-1\nAAAA\n\n", "name\n01\nAAAA\n\n" };
	struct checkpoint c;
	struct err err = { 0 };
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(checkpoint_parse(a, bad[i], &c, &err));
	for (size_t i = 0; i < strlen(note); i++)
		assert_false(checkpoint_parse(a, arena_strndup(a, note, i), &c, &err));
}

static int setup(void **state)
{
	*state = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_checkpoint_reads_back, setup, teardown),
		cmocka_unit_test_setup_teardown(the_public_key_reads_back_and_verifies, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_that_is_none_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(any_changed_byte_breaks_it, setup, teardown),
		cmocka_unit_test_setup_teardown(another_key_has_not_signed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_checkpoint_is_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
