/* storage/audit_log.h - what a worker does for the audit log in the background: gives entries their positions, signs
 * checkpoints, and tells of refusals.
 *
 * One process of all is the sequencer at a time, for one transaction: whoever gets the lock. A round reads the pending
 * entries that are committed, places them behind the last one, and signs what came out, all in one commit; killed
 * anywhere, it leaves nothing or everything. A process that commits a leaf wakes its own sequencer; a look each two
 * seconds finds what others left. */
#pragma once

#include "core/signed_note.h"
#include "storage/audit.h"

struct audit_log;

#define AUDIT_KEY_SETTING "LAUNCHPLANE_AUDIT_SIGNING_KEY"
#define AUDIT_POLL_MS     2000

struct audit_log_options {
	const unsigned char *seed; /* 32 bytes of AUDIT_KEY_SETTING, copied; NULL: a key is made and kept sealed */
};

struct audit_log *audit_log_new(struct loop *l, const struct audit_log_options *options);
/* Does what is left to do and ends its task; takes NULL, as does free(), which follows when the loop is gone. */
SUSPENDS void audit_log_stop(struct task *t, struct audit_log *log);
void audit_log_free(struct audit_log *log);

/* A change that e asked for was refused. Told in the log soon, and again at most once a minute for each caller and
 * action, with how often; at most 64 such pairs a minute are told apart. Does not wait. */
void audit_denied(struct audit_log *log, const struct audit_entry *e);

/* The setting's text into a seed. */
bool audit_seed_parse(const char *text, unsigned char seed[NOTE_SEED_N], struct err *err);
/* Makes a new key that signs from now on; *public_key names it. Needs the master key. */
SUSPENDS OUTSIDE_TX bool audit_key_rotate(struct task *t, const struct keyring *ring, const char **public_key,
                                          struct err *err);

/* One round of the sequencer. *more: there may be more to do at once. Does nothing while another process is at it. */
struct sequencer {
	struct note_key key; /* can_sign: checkpoints are made */
	bool has_setting;    /* the key is the setting's */
	uint64_t seen_size;  /* the largest checkpoint this process has seen: the log does not become shorter */
	bool was_busy;       /* another process was at it */
	bool has_warned;
	/* Pending entries up to this one were placed long ago: while some transaction holds back cleaning, all that
	 * were ever pending still lie there. An entry of a transaction that was longer than that is found by the next
	 * look at all. */
	int64_t after, soon_after;      /* entry_id; what becomes after next */
	uint64_t all_at_ms, next_at_ms; /* when to look at all again, and when to move on */
};
#define AUDIT_LATE_MS 500   /* transactions that write end within this time, or are looked for with all */
#define AUDIT_ALL_MS  20000 /* between two looks at all */

/* Whether there is something to do, and from where on the next rounds look. is_told: there is; everything: they look at
 * all. */
SUSPENDS OUTSIDE_TX bool audit_look(struct task *t, struct sequencer *s, uint64_t now_ms, bool is_told, bool everything,
                                    bool *is_waiting, struct err *err);
SUSPENDS OUTSIDE_TX bool audit_sequence(struct task *t, struct sequencer *s, bool *more, struct err *err);
/* Loads the key, or makes one; leaves s without key, and says why once, when it cannot be had. */
SUSPENDS OUTSIDE_TX bool audit_key_ensure(struct task *t, struct sequencer *s, const unsigned char *seed,
                                          struct err *err);

/* ---- refusals ---- */

struct denials;
struct denials *denials_new(void);
void denials_free(struct denials *d);
void denials_note(struct denials *d, int64_t now_ms, const struct audit_entry *e);
/* Takes one that is due into *out, whose strings live in the arena; false: none is. at_end: the rest as well. */
bool denials_take(struct denials *d, struct arena *a, int64_t now_ms, bool at_end, struct audit_entry *out);
